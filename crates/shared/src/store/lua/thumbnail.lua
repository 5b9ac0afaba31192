-- thumbnail: what a completed job was said to get is in the store, or will not come.
-- KEYS  1 base of the shard
-- ARGV  1 job id   2 fence   3 object   4 its size (0: it will not come)
-- Returns "ok" | "gone": nothing leads to the object, nor will: it is said no more once it was said, or the time is over
local j = owned(ARGV[1], ARGV[2], MAY.thumbnail)
if not j then return 'gone' end
local key, size = K.job .. j.id, '+' .. ARGV[4]
local v = call('HMGET', key, 'th', 'obj', 'del')
local told = v[1] or '+0' -- a size once it was said, the time until which it may come before
if told == size then return 'ok' end
if string.sub(told, 1, 1) == '+' then return 'gone' end
if size == '+0' then
  call('HDEL', key, 'th') -- the object stays noted: some of it may be there
elseif tonumber(told) <= NOW then
  return 'gone'
else
  local object = size .. ':' .. ARGV[3]
  call('HSET', key, 'th', size, 'obj', v[2] and v[2] .. ' ' .. object or object)
  call('ZREM', K.garbage, '-0:' .. ARGV[3])
  call('ZADD', K.garbage, v[3], object)
  call('HINCRBY', K.count, 'bytes', ARGV[4])
  call('HINCRBY', K.count, 'objects', 1)
end
changed(j.id)
return 'ok'
