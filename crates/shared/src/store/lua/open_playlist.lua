-- open_playlist: what a playlist is to have, before the first of it is queued. Whoever comes first says it. Called twice, also by
-- two who promised the same, it answers with what was said first.
-- KEYS  1 base of the shard
-- ARGV  1 ticket   2 client   3 plan   4 ms it lives
-- Returns {client, created ms, plan, "1" once all of it is queued (else nil)}
local key = K.playlist .. ARGV[1]
if call('EXISTS', key) == 0 then
  call('HSET', key, 'cl', ARGV[2], 'ct', int(NOW), 'plan', ARGV[3])
  call('PEXPIRE', key, ARGV[4])
end
return call('HMGET', key, 'cl', 'ct', 'plan', 'all')
