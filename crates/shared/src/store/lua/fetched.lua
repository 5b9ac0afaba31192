-- fetched: the holder of a ticket was handed its result. Called twice it counts twice, so nobody sends it again: a count that
-- lacks one is better than one that has too many.
-- KEYS  1 base of the shard
-- ARGV  1 ticket
-- Returns "ok" | "gone"
local tkey = K.ticket .. ARGV[1]
local jid = call('HGET', tkey, 'jid')
if not jid then return 'gone' end
call('HINCRBY', tkey, 'got', 1)
changed(jid)
return 'ok'
