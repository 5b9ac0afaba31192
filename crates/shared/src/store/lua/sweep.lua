-- sweep: may this worker look for orphans now? One at a time, and only so long after the last look has ended.
-- Called twice by one worker, the answer is the same.
-- KEYS  1 base of the shard
-- ARGV  1 worker   2 ms between two looks   3 ms that a turn lasts without a word
-- Returns "yes" | "no"
local v = call('HMGET', K.sweep, 'by', 'till', 'last')
local is_taken = v[2] and NOW < tonumber(v[2])
if is_taken and v[1] ~= ARGV[1] then return 'no' end
-- an end in the future is none: the clock has been set back, or belongs to another server
if not is_taken and v[3] and math.abs(NOW - v[3]) < tonumber(ARGV[2]) then return 'no' end
call('HSET', K.sweep, 'by', ARGV[1], 'till', int(NOW + ARGV[3]))
return 'yes'
