-- moments: a job as the holder of a ticket sees it, and what moments it had. Changes nothing.
-- KEYS  1 base of the shard
-- ARGV  1 ticket
-- Returns nil | {now, view, the newest moments, packed one after the other}
local packed = view(ARGV[1])
if not packed then return nil end
local t = call('HMGET', K.ticket .. ARGV[1], 'jid', 'st', 'ev')
return { int(NOW), packed, t[2] and (t[3] or '') or call('HGET', K.job .. t[1], 'ev') or '' }
