-- expire: jobs that outlived their time unfinished. Their fence rises, so that no worker ends them otherwise.
-- KEYS  those of the shard, by name in K
-- ARGV  1 how many at most
-- Returns how many
local old = call('ZRANGEBYSCORE', K.live, '-inf', int(NOW), 'LIMIT', 0, ARGV[1])
for _, jid in ipairs(old) do
  local j = load(jid)
  if j and may('expire', j.st) then
    raise_fence(j)
    move(j, j.cx and S.cancelled or S.expired)
  else
    call('ZREM', K.live, jid)
  end
end
return #old
