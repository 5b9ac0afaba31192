-- look: a job as the holder of one ticket sees it. Changes nothing.
-- KEYS  those of the shard, by name in K
-- ARGV  1 ticket
-- Returns {} | {now, place in line (0: not in line), ticket: jid cl ct ttl exp req,
--          job, or ticket that has let go of it: st rg att max wk sa ft due pg med res err del}
local tkey = K.ticket .. ARGV[1]
local t = call('HMGET', tkey, 'jid', 'cl', 'ct', 'ttl', 'exp', 'req', 'st')
if not t[1] then return {} end
local j = call('HMGET', t[7] and tkey or K.job .. t[1], 'st', 'rg', 'att', 'max', 'wk', 'sa', 'ft', 'due', 'pg', 'med',
  'res', 'err', 'del', 'lane')
if not j[1] then return {} end

-- How many are served before: its client's earlier jobs, and as many of each other client, who take turns.
local function place()
  local lane, client = j[14], t[2]
  local before = call('LPOS', K.list .. lane .. ':' .. client, t[1]) or 0
  local ring = call('ZRANGE', K.ring .. lane, 0, 127)
  local ahead, turns = before, before + 1 -- clients that stand before this one in the ring have one turn more
  for _, other in ipairs(ring) do
    if other == client then
      turns = before
    else
      ahead = ahead + math.min(call('LLEN', K.list .. lane .. ':' .. other), turns)
    end
  end
  return ahead + 1
end

local answer = { int(NOW), int(j[1] == S.queued and place() or 0) }
for i = 1, 6 do answer[#answer + 1] = t[i] end
for i = 1, 13 do answer[#answer + 1] = j[i] end
return answer
