-- reap: leases that ran out. Their workers are gone or cut off: the job is tried again, but one that has
-- taken down worker after worker ends. The fence stays, so that an owner who was only slow may come back.
-- KEYS  those of the shard, by name in K
-- ARGV  1 how many at most   2 lost leases after which a job has failed   3 that failure   4 ms to keep the record
-- Returns how many
local late = call('ZRANGEBYSCORE', K.lease, '-inf', int(NOW), 'LIMIT', 0, ARGV[1])
for _, jid in ipairs(late) do
  local j = load(jid)
  if j and may('reap', j.st) then
    call('HINCRBY', K.count, 'reaped', 1)
    local crash = call('HINCRBY', K.job .. jid, 'crash', 1)
    call('HSET', K.job .. jid, 'err', ARGV[3])
    unspend(j) -- a lost worker is not a failed attempt
    if j.cx then
      move(j, S.cancelled)
    elseif crash >= tonumber(ARGV[2]) then
      move(j, S.failed)
    else
      move(j, S.waiting, { due = NOW + math.min(60000, 500 * 2 ^ crash) })
    end
  else
    call('ZREM', K.lease, jid)
  end
end
return #late
