-- look: a job as the holder of one ticket sees it. Changes nothing.
-- KEYS  those of the shard, by name in K
-- ARGV  1 ticket
-- Returns {} | {now, place in line (0: not in line), ticket: jid st at cl ct ttl req,
--          job: st lane rg att max wk sa ft due pg med res err del}
local t = call('HMGET', K.ticket .. ARGV[1], 'jid', 'st', 'at', 'cl', 'ct', 'ttl', 'req', 'pg')
if not t[1] then return {} end
local j = call('HMGET', K.job .. t[1], 'st', 'lane', 'rg', 'att', 'max', 'wk', 'sa', 'ft', 'due', 'pg', 'med', 'res',
  'err', 'del')
if not j[1] then return {} end
if t[2] then j[10] = t[8] end -- the job may run on, but not for this ticket

-- How many are served before: its client's earlier jobs, and as many of each other client, who take turns.
local function place()
  local lane, client = j[2], t[4]
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

local answer = { int(NOW), int(j[1] == S.queued and not t[2] and place() or 0) }
for i = 1, 7 do answer[#answer + 1] = t[i] end
for i = 1, 14 do answer[#answer + 1] = j[i] end
return answer
