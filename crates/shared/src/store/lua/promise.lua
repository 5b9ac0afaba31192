-- promise: an Idempotency-Key promises that requests with it are one. Who comes first says which ticket they get.
-- A promise lies on the shard of its key; its ticket may lie on another.
-- KEYS  1 base of the shard
-- ARGV  1 key   2 hash of the body   3 ticket   4 ms it is kept   5 ticket whose promise is void (empty: none)
-- Returns {"ours"} | {"kept" or "broken", ticket promised before, ms since then}
local key = K.promise .. ARGV[1]
local had = call('HMGET', key, 'body', 'ticket', 'at')
if had[1] and had[2] ~= ARGV[5] then
  return { had[1] == ARGV[2] and 'kept' or 'broken', had[2], int(NOW - had[3]) }
end
call('HSET', key, 'body', ARGV[2], 'ticket', ARGV[3], 'at', int(NOW))
call('PEXPIRE', key, ARGV[4])
return { 'ours' }
