-- reap: leases that ran out. Their workers are gone or cut off: the job is tried again, but one that has
-- taken down worker after worker ends. The fence stays, so that an owner who was only slow may come back.
-- KEYS  those of the shard, by name in K
-- ARGV  1 how many at most   2 lost leases after which a job has failed   3 that failure   4 lease length in ms
-- Returns how many

-- Every process looks once a second. When nobody has for most of a lease, Redis was away, or everybody was: that
-- says nothing of the workers, and they have the time of another lease to come back.
local last = call('SET', K.looked, int(NOW), 'GET')
if last and NOW - last > ARGV[4] * 2 / 3 then call('SET', K.amnesty, 1, 'PX', ARGV[4]) end
if call('EXISTS', K.amnesty) == 1 then return 0 end

local late = call('ZRANGEBYSCORE', K.lease, '-inf', int(NOW), 'LIMIT', 0, ARGV[1])
for _, jid in ipairs(late) do
  local j = load(jid)
  if j and may('reap', j.st) then
    call('HINCRBY', K.count, 'reaped', 1)
    local crash = call('HINCRBY', K.job .. jid, 'crash', 1)
    call('HSET', K.job .. jid, 'err', ARGV[3])
    if j.cx then
      move(j, S.cancelled)
    elseif crash >= tonumber(ARGV[2]) then
      move(j, S.failed)
    else
      unspend(j) -- a lost worker is not a failed attempt
      move(j, S.waiting, { due = NOW + math.min(60000, 500 * 2 ^ crash) })
    end
  else
    call('ZREM', K.lease, jid)
  end
end
return #late
