-- expire: jobs that outlived their time unfinished. Their fence rises, so that no worker ends them otherwise.
-- KEYS  those of the shard, by name in K
-- ARGV  1 how many at most   2 ms to keep the record
-- Returns how many
local old = call('ZRANGEBYSCORE', K.live, '-inf', int(NOW), 'LIMIT', 0, ARGV[1])
for _, jid in ipairs(old) do
  local j = load(jid)
  if j and may('expire', j.st) then
    raise_fence(j)
    move(j, S.expired, { keep = ARGV[2] })
  else
    call('ZREM', K.live, jid)
  end
end
return #old
