-- rule: who is on trial, for how long that is known, and the verdicts. After a verdict it is counted anew. What a slow judge says
-- when a later one has spoken is not heard, and a verdict only rises: from undecided to promoted to rolled back. What was decided of
-- a version is laid aside when a newer one comes, and taken up again when that has gone.
-- Called twice, the second brings no news.
-- KEYS  1 base of the shard
-- ARGV  1 version on trial (empty: none is, and all is forgotten)   2 version that is settled (empty: none)   3 ms for which that is known
--       4 percent of a site's jobs that it is to have at most   5 regions that both sides serve, a space before and after each
--       6 "1" and the newest live version, where that is none on trial beside others (else "0")   7 verdict on sites without their own
--       8 ms at which was looked, by the clock of the first shard   9 regions with a version of which nothing is laid aside, as 5
--       10.. site, its verdict and what that was made of
-- Returns the sites of which there is news, "*" for all without a verdict of their own
local SITES = 1000 -- with verdicts
local ASIDE = 3 -- versions of which something is
local KEPT = 604800000 -- ms after its last word for which a trial is remembered
local SLOWEST = 60000 -- ms that a judge may take; who looked longer ago has a clock that was set back
local behind = (call('GET', K.ruled) or '0') - ARGV[8]
if behind > 0 and behind < SLOWEST then return {} end
call('SET', K.ruled, ARGV[8], 'PX', SLOWEST)
if ARGV[2] ~= '' then call('SET', K.settled, ARGV[2]) end
-- observed: it is forgotten when nobody looks, or no worker lives
local since, newest = string.match(call('GET', K.apart) or '', '^(%d+) (.*)$')
if ARGV[6] == '0' then
  call('DEL', K.apart)
else
  local version = string.sub(ARGV[6], 2)
  call('SET', K.apart, (newest == version and since or int(NOW)) .. ' ' .. version, 'PX', ARGV[3])
end

local function decided(version) return K.decided .. redis.sha1hex(version) end
local before = call('HMGET', K.trial, 'new', 'all', 'aside')
local verdict, aside = before[2] or VERDICT.undecided, {}
for version in string.gmatch(before[3] or '', '%S+') do aside[#aside + 1] = version end
if before[1] ~= ARGV[1] then
  if before[1] then
    call('HSET', K.rulings, ANYBODY, verdict)
    call('RENAME', K.rulings, decided(before[1]))
    table.insert(aside, 1, before[1])
  end
  call('DEL', K.trial, K.rulings, K.tried)
  local known, kept = false, {}
  for _, version in ipairs(aside) do
    if version == ARGV[1] then
      known = call('EXISTS', decided(version)) == 1
    elseif ARGV[1] ~= '' and #kept < ASIDE then
      kept[#kept + 1] = version
    else
      call('DEL', decided(version))
    end
  end
  verdict, aside = VERDICT.undecided, kept
  if known then
    call('RENAME', decided(ARGV[1]), K.rulings)
    verdict = call('HGET', K.rulings, ANYBODY)
    call('HDEL', K.rulings, ANYBODY)
  end
end
if ARGV[1] == '' then return {} end
local RANK = { [VERDICT.undecided] = 0, [VERDICT.promoted] = 1, [VERDICT.rolled_back] = 2 }
local function rank(ruling) return RANK[string.match(ruling or '', '^%S+') or ''] or -1 end
local news = {}
if rank(ARGV[7]) > rank(verdict) then
  news[1], verdict = ANYBODY, ARGV[7]
  call('DEL', K.tried)
end
call('HSET', K.trial, 'new', ARGV[1], 'till', int(NOW + ARGV[3]), 'share', ARGV[4], 'both', ARGV[5], 'all', verdict,
  'aside', ' ' .. table.concat(aside, ' ') .. ' ', 'sure', ARGV[9])
call('HSETNX', K.trial, 'since', int(NOW))
for i = 10, #ARGV, 2 do
  local site, ruling = ARGV[i], ARGV[i + 1]
  local known = call('HGET', K.rulings, site)
  if rank(ruling) > rank(known) and (known or call('HLEN', K.rulings) < SITES) then
    news[#news + 1] = site
    call('HSET', K.rulings, site, ruling)
    call('HDEL', K.tried, site)
  end
end
for _, key in ipairs({ K.trial, K.rulings, K.tried }) do call('PEXPIRE', key, KEPT) end
for _, version in ipairs(aside) do call('PEXPIRE', decided(version), KEPT) end
return news
