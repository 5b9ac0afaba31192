-- delivered: bytes of the results that became a client's own today (UTC). Changes nothing.
-- KEYS  1 base of the shard
-- ARGV  1 client
-- Returns {now, bytes}
return { int(NOW), call('HGET', day(), ARGV[1]) or '0' }
