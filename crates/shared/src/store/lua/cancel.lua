-- cancel: one ticket lets go of an unfinished job. The last one ends it; until then it runs on for the others.
-- KEYS  those of the shard, by name in K
-- ARGV  1 ticket
-- Returns "now" | "stopping" | "ended" | "gone"
local tkey = K.ticket .. ARGV[1]
local t = call('HMGET', tkey, 'jid', 'st')
local j = t[1] and load(t[1])
if not j then return 'gone' end
if t[2] or not may('cancel', j.st) then return 'ended' end
if j.cx then return 'stopping' end

if j.n > 1 then
  call('HSET', tkey, 'st', S.cancelled, 'at', int(NOW))
  local reached = call('HGET', K.job .. j.id, 'pg')
  if reached then call('HSET', tkey, 'pg', reached) end
  call('HINCRBY', K.job .. j.id, 'n', -1)
  changed(j.id)
  return 'now'
end
if j.st == S.running then
  call('HSET', K.job .. j.id, 'cx', 1)
  -- Whoever asks for the same now gets a run of their own, not a share in a dying one.
  if call('GET', K.flight .. j.fp) == j.id then call('DEL', K.flight .. j.fp) end
  changed(j.id)
  return 'stopping'
end
raise_fence(j)
move(j, S.cancelled)
return 'now'
