-- breakers: the ways to sites that are left alone, those that are open longest first. Changes nothing.
-- KEYS  1 base of the shard
-- ARGV  1 how many at most
-- Returns {now, for each: way, ms at which it is half open, kind of the last failures, how many in a row}
local answer = { int(NOW) }
local shut = call('ZREVRANGE', K.shut, 0, ARGV[1] - 1, 'WITHSCORES')
for i = 1, #shut, 2 do
  local v = call('HMGET', breaker(shut[i]), 'kind', 'n')
  for _, value in ipairs({ shut[i], shut[i + 1], v[1] or '', v[2] or '0' }) do answer[#answer + 1] = value end
end
return answer
