-- fail: this attempt is over. Cancelled jobs end cancelled; others wait for another attempt if one is left and worth it.
-- KEYS  1 base of the shard
-- ARGV  1 job id   2 fence   3 "1": worth another attempt   4 delay in ms   5 failure
--       6 ms during which whoever asks for the same is told so at once (0: not)
--       7 its kind when the site is to blame (empty: it is not)   8 ms that the site asked to be left alone   9 its code
--       10 "1": it speaks of yt-dlp
-- Returns {"waiting" | "failed" | "cancelled" | "lost", and when this opened a breaker: its way, ms until half open}
local key = K.job .. ARGV[1]
local j = owned(ARGV[1], ARGV[2], MAY.fail)
if not j then return { said(key, 'fail' .. ARGV[2]) or 'lost' } end
local shut = ARGV[7] ~= '' and not j.cx and blame(j, ARGV[7], tonumber(ARGV[8]))
local function answer(word)
  if shut then return { word, j.via, int(shut) } end
  return { word }
end

local version = ARGV[10] == '1' and not j.cx and ends(j, j.att, false)
if version then call('HSET', key, 'shy', version) end
if version and j.att == 1 then call('HDEL', key, 'lf') end
call('HSET', key, 'err', ARGV[5])
j.code = ARGV[9]
if ARGV[3] == '1' and j.att < j.max then return answer(let_go(j, 'fail', S.waiting, { due = NOW + ARGV[4] })) end
local is_known = not j.cx and tonumber(ARGV[6]) > 0 and call('GET', K.flight .. j.fp) == j.id
local word = let_go(j, 'fail', S.failed)
if is_known then call('SET', K.flight .. j.fp, j.id, 'PX', ARGV[6]) end
return answer(word)
