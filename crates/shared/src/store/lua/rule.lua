-- rule: who is on trial, for how long that is known, and the verdicts. After a verdict it is counted anew.
-- Called twice, the second brings no news.
-- KEYS  1 base of the shard
-- ARGV  1 version on trial (empty: none is, and all is forgotten)   2 version that is settled   3 ms for which that is known
--       4 percent of a site's jobs that it is to have   5 regions that both sides serve, a space before and after each
--       6 "1": both sides live   7 verdict on sites without their own   8.. site, its verdict and what that was made of
-- Returns the sites of which there is news, "*" for all without a verdict of their own
if call('GET', K.settled) ~= ARGV[2] then call('SET', K.settled, ARGV[2]) end
local before = call('HMGET', K.trial, 'new', 'all')
if before[1] ~= ARGV[1] then call('DEL', K.trial, K.rulings, K.tried) end
if ARGV[1] == '' then return {} end
call('HSET', K.trial, 'new', ARGV[1], 'till', int(NOW + ARGV[3]), 'share', ARGV[4], 'both', ARGV[5], 'all', ARGV[7])
if ARGV[6] == '1' then call('HSET', K.trial, 'met', int(NOW)) end
call('HSETNX', K.trial, 'since', int(NOW))
local news = {}
if before[1] == ARGV[1] and before[2] ~= ARGV[7] then
  news[1] = ANYBODY
  call('DEL', K.tried)
end
local function word(ruling) return string.match(ruling or '', '^%S+') end
for i = 8, #ARGV, 2 do
  if word(call('HGET', K.rulings, ARGV[i])) ~= word(ARGV[i + 1]) then
    news[#news + 1] = ARGV[i]
    call('HSET', K.rulings, ARGV[i], ARGV[i + 1])
    call('HDEL', K.tried, ARGV[i])
  end
end
for _, key in ipairs({ K.trial, K.rulings, K.tried }) do call('PEXPIRE', key, 604800000) end
return news
