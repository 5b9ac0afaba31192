-- redeliver: the holder of a ticket wants to be told its end again, in the same message, for a day from now.
-- KEYS  1 base of the shard
-- ARGV  1 ticket
-- Returns "ok" | "unfinished" | "unasked" (nobody is to be told) | "gone"
local ticket = ARGV[1]
local key, t = K.hook .. ticket, call('HMGET', K.ticket .. ticket, 'jid', 'st', 'ft')
local j = t[1] and load(t[1])
local state = t[2] or j and j.st
if not state then return 'gone' end
if call('EXISTS', key) == 0 then return 'unasked' end
if not may(MAY.redeliver, state) then return 'unfinished' end

-- when it came is known unless a version ended it that told nobody
local at = call('HGET', key, 'at') or t[3] or call('HGET', K.job .. t[1], 'ft') or int(NOW)
to_tell(ticket, state)
call('HSET', key, 'at', at)
call('HDEL', key, 'st', 'fence', 'said', 'off')
return 'ok'
