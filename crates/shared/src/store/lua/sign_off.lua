-- sign_off: a worker stops, and its regions do not wait for it.
-- KEYS  1 base of the shard
-- ARGV  1 worker   2.. its regions
-- Returns "ok"
call('DEL', K.worker .. ARGV[1])
call('ZREM', K.workers, ARGV[1])
relieve(ARGV[1] .. ':')
-- It stays known until when the region was served, should this have been the last.
for i = 2, #ARGV do call('ZADD', K.serving .. ARGV[i], 'XX', int(NOW), ARGV[1]) end
return 'ok'
