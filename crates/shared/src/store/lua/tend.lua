-- tend: look after what time does to jobs, wake somebody where jobs wait and every wake token was lost, and call a sentry where
-- the last one was.
-- Called twice, the second finds what the first has left to do.
-- KEYS  1 base of the shard
-- ARGV  1 ms between two looks   2 lease length in ms   3 lost leases after which a job has failed   4 that failure
--       5 kind of jobs whose failures are told
-- Returns {promoted, reaped, expired, 1 if there may be more of any, jobs that have failed; told once, so lost with the answer}
local did = tend(ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5])
for _, lane in ipairs(call('SMEMBERS', K.lanes)) do wake_another(lane) end
if call('EXISTS', K.sentry) == 0 and next_due() then call_sentry() end
return did
