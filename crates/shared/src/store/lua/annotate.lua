-- annotate: the holder of a ticket notes something beside a finished result. What is noted lives and dies with the ticket.
-- KEYS  1 base of the shard
-- ARGV  1 ticket   then field, value (empty: none)
-- Returns "ok" | "unready" (there is no result) | "gone"
local tkey = K.ticket .. ARGV[1]
local t = call('HMGET', tkey, 'jid', 'st')
local j = t[1] and load(t[1])
if not j then return 'gone' end
if t[2] or not may(MAY.annotate, j.st) then return 'unready' end
for i = 2, #ARGV, 2 do
  if ARGV[i + 1] == '' then call('HDEL', tkey, ARGV[i]) else call('HSET', tkey, ARGV[i], ARGV[i + 1]) end
end
changed(j.id)
return 'ok'
