-- complete: the result exists and is verified. With the same fence the answer is the same.
-- KEYS  1 base of the shard
-- ARGV  1 job id   2 fence   3 result   4 object (empty: none)   5 its size   6 ms to keep the object
--       7 ms during which others may share the result (0: not at all)   8.. name, seconds
-- Returns {"ok" | "cancel" | "lost", and when this closed a breaker: its way}
local again = load(ARGV[1])
if again and again.st == S.completed and again.tok == ARGV[2] then return { 'ok' } end
local j = owned(ARGV[1], ARGV[2], MAY.complete)
if not j then return { said(K.job .. ARGV[1], 'complete' .. ARGV[2]) or 'lost' } end
local reserved, object = '-0:' .. ARGV[4], '+' .. ARGV[5] .. ':' .. ARGV[4]
if j.cx then
  if ARGV[4] ~= '' then call('ZADD', K.garbage, int(NOW), reserved) end
  move(j, S.cancelled)
  return { say(K.job .. j.id, 'complete' .. j.tok, 'cancel') }
end
call('HSET', K.job .. j.id, 'res', ARGV[3], 'del', int(NOW + ARGV[6]))
call('HDEL', K.job .. j.id, 'pg', 'err')
if j.st ~= S.running then call('HINCRBY', K.job .. j.id, 'att', 1) end -- `reap` had taken it off
if ARGV[4] ~= '' then
  call('ZREM', K.garbage, reserved)
  call('ZADD', K.garbage, int(NOW + ARGV[6]), object)
  call('HSET', K.job .. j.id, 'obj', object)
  call('HINCRBY', K.count, 'bytes', ARGV[5])
  call('HINCRBY', K.count, 'objects', 1)
end
move(j, S.completed)
if call('GET', K.flight .. j.fp) == j.id then
  if tonumber(ARGV[7]) > 0 then call('PEXPIRE', K.flight .. j.fp, ARGV[7]) else call('DEL', K.flight .. j.fp) end
end
for i = 8, #ARGV, 2 do sample(ARGV[i], ARGV[i + 1]) end
return clear(j) and { 'ok', j.via } or { 'ok' }
