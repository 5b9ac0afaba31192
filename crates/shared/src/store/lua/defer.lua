-- defer: the worker hands a job back for later: it cannot do it now, and that is not the job's fault. No attempt is spent.
-- KEYS  those of the shard, by name in K
-- ARGV  1 job id   2 fence   3 delay in ms
-- Returns "ok" | "cancelled" | "lost"
local j = owned(ARGV[1], ARGV[2], 'defer')
if not j then return 'lost' end
if let_go(j) then return 'cancelled' end
unspend(j)
move(j, S.waiting, { due = NOW + ARGV[3] })
return 'ok'
