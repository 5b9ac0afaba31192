-- reserve: note an object before it is written, so that it is removed should its job never be completed.
-- KEYS  1 base of the shard
-- ARGV  1 job id   2 fence   3 object   4 ms to hold it
-- Returns "ok" | "cancel" | "lost"
local j = owned(ARGV[1], ARGV[2], MAY.reserve)
if not j then return 'lost' end
if j.cx then return 'cancel' end
call('ZADD', K.garbage, int(NOW + ARGV[4]), '-0:' .. ARGV[3])
return 'ok'
