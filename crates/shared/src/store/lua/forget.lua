-- forget: the holder of a ticket wants an ended job gone. The last ticket takes record and result along.
-- KEYS  1 base of the shard
-- ARGV  1 ticket   2 mark of this call
-- Returns "ok" | "unfinished" | "gone"
local tkey = K.ticket .. ARGV[1]
local t = call('HMGET', tkey, 'jid', 'st', 'cl')
if not t[1] then return call('GET', K.gone .. ARGV[1]) == ARGV[2] and 'ok' or 'gone' end
local j = load(t[1])
if j and not t[2] and not may(MAY.forget, j.st) then return 'unfinished' end

call('DEL', tkey, K.hook .. ARGV[1], K.tries .. ARGV[1])
call('ZREM', K.untold, ARGV[1])
call('SET', K.gone .. ARGV[1], ARGV[2], 'PX', 60000) -- for this call again, should its answer be lost
call('ZREM', K.own .. t[3], ARGV[1])
call('ZREM', K.recent, ARGV[1])
if j and not t[2] and call('HINCRBY', K.job .. j.id, 'n', -1) <= 0 then
  for object in string.gmatch(call('HGET', K.job .. j.id, 'obj') or '', '%S+') do
    call('ZADD', K.garbage, 'XX', int(NOW), object)
  end
  if call('GET', K.flight .. j.fp) == j.id then call('DEL', K.flight .. j.fp) end
  call('DEL', K.job .. j.id)
end
changed(t[1])
return 'ok'
