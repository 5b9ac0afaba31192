-- complete: the result exists and is verified. With the same fence the answer is the same.
-- KEYS  1 base of the shard
-- ARGV  1 job id   2 fence   3 result   4 its objects, each "<size>:<key>", a space between   5 ms to keep them
--       6 ms during which others may share the result (0: not at all)
--       7 ms in which its thumbnail may still come (0: none will)   8 that object   9 ms to hold it
--       10 ms that it plays (empty: nobody knows)   11 extractor that its site has to itself (empty: none that is known)
--       12.. name, seconds
-- Returns {"ok" | "cancel" | "lost", and when this closed a breaker: its way}
local again = load(ARGV[1])
if again and again.st == S.completed and again.tok == ARGV[2] then return { 'ok' } end
local j = owned(ARGV[1], ARGV[2], MAY.complete)
if not j then return { said(K.job .. ARGV[1], 'complete' .. ARGV[2]) or 'lost' } end
if j.cx then
  for key in string.gmatch(ARGV[4], '%d+:(%S+)') do call('ZADD', K.garbage, int(NOW), '-0:' .. key) end
  move(j, S.cancelled)
  return { say(K.job .. j.id, 'complete' .. j.tok, 'cancel') }
end
local stages = {}
for i = 12, #ARGV, 2 do stages[#stages + 1] = ARGV[i] end
if j.st == S.running and stages[1] then pass(j, stages) end
call('HSET', K.job .. j.id, 'res', ARGV[3], 'del', int(NOW + ARGV[5]))
call('HDEL', K.job .. j.id, 'pg', 'at', 'err')
local nth = j.att
if j.st ~= S.running then nth = call('HINCRBY', K.job .. j.id, 'att', 1) end -- `reap` had taken it off
ends(j, nth, true, ARGV[11])
local objects = {}
for size, key in string.gmatch(ARGV[4], '(%d+):(%S+)') do
  local object = '+' .. size .. ':' .. key
  objects[#objects + 1] = object
  call('ZREM', K.garbage, '-0:' .. key)
  call('ZADD', K.garbage, int(NOW + ARGV[5]), object)
  call('HINCRBY', K.count, 'bytes', size)
  call('HINCRBY', K.count, 'objects', 1)
end
if objects[1] then call('HSET', K.job .. j.id, 'obj', table.concat(objects, ' ')) end
if ARGV[10] ~= '' then call('HSET', K.job .. j.id, 'len', ARGV[10]) end
if ARGV[7] ~= '0' then
  call('HSET', K.job .. j.id, 'th', int(NOW + ARGV[7]))
  call('ZADD', K.garbage, int(NOW + ARGV[9]), '-0:' .. ARGV[8])
end
move(j, S.completed)
if call('GET', K.flight .. j.fp) == j.id then
  if tonumber(ARGV[6]) > 0 then call('PEXPIRE', K.flight .. j.fp, ARGV[6]) else call('DEL', K.flight .. j.fp) end
end
for i = 12, #ARGV, 2 do sample(ARGV[i], ARGV[i + 1]) end
return clear(j) and { 'ok', j.via } or { 'ok' }
