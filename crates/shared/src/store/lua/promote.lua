-- promote: delays that are over. A retried job goes before its client's other jobs.
-- KEYS  those of the shard, by name in K
-- ARGV  1 how many at most
-- Returns how many
local due = call('ZRANGEBYSCORE', K.delay, '-inf', int(NOW), 'LIMIT', 0, ARGV[1])
for _, jid in ipairs(due) do
  local j = load(jid)
  if j and may('promote', j.st) then move(j, S.queued, { head = true }) else call('ZREM', K.delay, jid) end
end
return #due
