-- audit: is each job where its state says that it is? Looks at some jobs per call, puts right what is wrong, and counts it.
-- Nothing should ever be: scripts are whole or not at all. What can be wrong is what was lost or changed outside of them.
-- Called twice, the second goes on where the first one came to.
-- KEYS  1 base of the shard
-- ARGV  1 ms between two looks   2 about how many jobs to look at
-- Returns {jobs looked at, then a word for each thing put right}
local at = call('HMGET', K.audit, 'cursor', 'last')
if at[2] and math.abs(NOW - at[2]) < tonumber(ARGV[1]) then return { '0' } end

local repairs = {}
local function repair(what) repairs[#repairs + 1] = what end

local function check(j)
  local id, lane = j.id, j.lane
  if j.st == S.running then
    if not call('ZSCORE', K.lease, id) then
      call('ZADD', K.lease, int(NOW), id)
      repair('lease')
    end
  elseif j.st == S.waiting then
    if not call('ZSCORE', K.delay, id) then
      call('ZADD', K.delay, call('HGET', K.job .. id, 'due') or int(NOW), id)
      repair('delay')
    end
  elseif j.st == S.queued then
    if not call('ZSCORE', K.queued .. lane, id) then
      call('ZADD', K.queued .. lane, int(NOW), id)
      repair('queued')
    end
    if not call('LPOS', K.list .. lane .. ':' .. j.own, id) then
      call('RPUSH', K.list .. lane .. ':' .. j.own, id)
      repair('list')
    end
    local is_parked = call('HEXISTS', K.park .. j.own, lane) == 1
    if not is_parked and not call('ZSCORE', K.ring .. lane, j.own) then
      join_ring(lane, j.own)
      repair('ring')
    elseif is_parked and call('HEXISTS', K.run, j.own) == 0 then
      unpark(j.own) -- no end of a job would ever do it
      repair('park')
    end
  else
    call('ZREM', K.live, id)
    repair('live')
  end
end

local page = call('ZSCAN', K.live, at[1] or '0', 'COUNT', ARGV[2])
for i = 1, #page[2], 2 do
  local j = load(page[2][i])
  if j then
    check(j)
  else
    call('ZREM', K.live, page[2][i])
    repair('live')
  end
end

-- A sum that is off means that some client's share is: then all are counted anew. Rare, and worth its time.
local function total(hash)
  local sum = 0
  for _, n in ipairs(call('HVALS', hash)) do sum = sum + n end
  return sum
end
local function recount(hash, members, by)
  local counted = {}
  for _, id in ipairs(members) do
    local j = load(id)
    local who = j and by(j)
    if who then counted[who] = (counted[who] or 0) + 1 end
  end
  call('DEL', hash)
  for who, n in pairs(counted) do call('HSET', hash, who, int(n)) end
end
local running, live = call('ZCARD', K.lease), call('ZCARD', K.live)
if total(K.run) ~= running then
  recount(K.run, call('ZRANGE', K.lease, 0, -1), function(j) return j.st == S.running and j.chg end)
  repair('run')
end
if total(K.via) ~= running then
  recount(K.via, call('ZRANGE', K.lease, 0, -1), function(j) return j.st == S.running and j.via end)
  repair('via')
end
if total(K.load) ~= live - running then
  recount(K.load, call('ZRANGE', K.live, 0, -1), function(j) return idle(j.st) and j.own end)
  repair('load')
end

call('HSET', K.audit, 'cursor', page[1], 'last', int(NOW))
if #repairs > 0 then call('HINCRBY', K.count, 'repaired', #repairs) end
table.insert(repairs, 1, int(#page[2] / 2))
return repairs
