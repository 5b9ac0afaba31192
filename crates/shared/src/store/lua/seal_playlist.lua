-- seal_playlist: all of a playlist is queued: from now on it is shown, and listed. Called twice it does the same again.
-- KEYS  1 base of the shard
-- ARGV  1 ticket   2 plan, without what only queueing needed   3 ms it lives   4 playlists that a list has at most
--       5 plan that it was opened with
-- Returns 1 | 0: there is no such playlist, or none any more, or another one
local key = K.playlist .. ARGV[1]
local t = call('HMGET', key, 'cl', 'ct', 'plan')
if t[3] ~= ARGV[2] and t[3] ~= ARGV[5] then return 0 end
call('HSET', key, 'plan', ARGV[2], 'all', 1)
for _, whose in ipairs({ t[1], ANYBODY }) do
  local list = K.playlists .. whose
  call('ZADD', list, t[2], ARGV[1])
  call('ZREMRANGEBYSCORE', list, '-inf', int(NOW - ARGV[3]))
  call('ZREMRANGEBYRANK', list, 0, int(-ARGV[4] - 1))
  call('PEXPIRE', list, ARGV[3])
end
return 1
