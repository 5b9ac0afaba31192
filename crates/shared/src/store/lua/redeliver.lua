-- redeliver: the holder of a ticket wants to be told its end again, in the same message, for a day from now. Charged as a
-- download is, for we call a stranger.
-- KEYS  1 base of the shard
-- ARGV  1 ticket   2 mark of this call   3 client   4 µs between two of the client's (empty: no rate)   5 how many at once
-- Returns {"ok"} | {"unfinished"} | {"unasked"} (nobody is to be told) | {"gone"} | {"limited", µs to wait}
local ticket, mark, client = ARGV[1], ARGV[2], ARGV[3]
local key, t = K.hook .. ticket, call('HMGET', K.ticket .. ticket, 'jid', 'st', 'ft')
local j = t[1] and load(t[1])
local state = t[2] or j and j.st
if not state then return { 'gone' } end
if call('EXISTS', key) == 0 then return { 'unasked' } end
-- The answer to this call was lost. Not by `said`: a worker may have told it, and been answered, since then.
if call('HGET', key, 'asked') == mark then return { 'ok' } end
if not may(MAY.redeliver, state) then return { 'unfinished' } end
local full, wait = fill(client, ARGV[4], ARGV[5])
if wait then return { 'limited', int(wait) } end

charge(client, full)
-- when it came is known unless a version ended it that told nobody
local at = call('HGET', key, 'at') or t[3] or call('HGET', K.job .. t[1], 'ft') or int(NOW)
to_tell(ticket, state)
call('HSET', key, 'at', at, 'asked', mark)
call('HDEL', key, 'st', 'fence', 'said', 'off')
return { 'ok' }
