-- announce: a worker says that it lives, and where, and hears whether there are objects to be removed, and ends to be told.
-- Called twice, it lives as long from the second on.
-- KEYS  1 base of the shard
-- ARGV  1 worker   2 what it says of itself   3 ms until it counts as gone   4.. its regions
-- Returns {how many objects are due, how many ends}
call('SET', K.worker .. ARGV[1], ARGV[2], 'PX', ARGV[3])
call('ZREMRANGEBYSCORE', K.workers, '-inf', int(NOW))
call('ZADD', K.workers, int(NOW + ARGV[3]), ARGV[1])
for i = 4, #ARGV do
  call('ZREMRANGEBYSCORE', K.serving .. ARGV[i], '-inf', int(NOW))
  call('ZADD', K.serving .. ARGV[i], int(NOW + ARGV[3]), ARGV[1])
end
return { call('ZCOUNT', K.garbage, '-inf', int(NOW)), call('ZCOUNT', K.untold, '-inf', int(NOW)) }
