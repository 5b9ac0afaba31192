-- collect: objects whose time is over, and the news that some of them have been removed.
-- An object is "+<size>:<key>" once it is a result, and "-0:<key>" while it is only reserved.
-- KEYS  1 base of the shard
-- ARGV  1 how many to name at most   2.. removed objects
-- Returns objects that are due
for i = 2, #ARGV do
  local size = string.match(ARGV[i], '^%+(%d+):')
  if call('ZREM', K.garbage, ARGV[i]) == 1 and size then
    call('HINCRBY', K.count, 'bytes', '-' .. size)
    call('HINCRBY', K.count, 'objects', -1)
  end
end
return call('ZRANGEBYSCORE', K.garbage, '-inf', int(NOW), 'LIMIT', 0, ARGV[1])
