-- fail: this attempt is over. Cancelled jobs end cancelled; others wait for another attempt if one is left and worth it.
-- KEYS  those of the shard, by name in K
-- ARGV  1 job id   2 fence   3 "1": worth another attempt   4 delay in ms   5 failure
-- Returns "waiting" | "failed" | "cancelled" | "lost"
local j = owned(ARGV[1], ARGV[2], 'fail')
if not j then return 'lost' end
if let_go(j) then return 'cancelled' end
call('HSET', K.job .. j.id, 'err', ARGV[5])
if ARGV[3] == '1' and j.att < j.max then
  move(j, S.waiting, { due = NOW + ARGV[4] })
  return 'waiting'
end
move(j, S.failed)
return 'failed'
