-- swept: what came of a look for orphans since the last word of it. Whoever looks keeps its turn by this, unless it ends here.
-- Called twice it counts twice, so nobody sends it again: a look that was not answered is given up, and begun anew.
-- KEYS  1 base of the shard
-- ARGV  1 worker   2 ms that a turn lasts without a word   3 "on" | "ended" | "given_up"
--       4 looked at   5 removed   6 bytes of these   7 failed
-- Returns "ok" | "lost" (somebody else looks by now; what was done counts all the same)
for i, field in ipairs({ 'looked', 'removed', 'bytes', 'failed' }) do call('HINCRBY', K.sweep, field, ARGV[i + 3]) end
if call('HGET', K.sweep, 'by') ~= ARGV[1] then return 'lost' end
if ARGV[3] == 'on' then
  call('HSET', K.sweep, 'till', int(NOW + ARGV[2]))
else
  call('HDEL', K.sweep, 'by', 'till')
  if ARGV[3] == 'ended' then call('HSET', K.sweep, 'last', int(NOW)) end
end
return 'ok'
