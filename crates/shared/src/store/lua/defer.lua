-- defer: the worker hands a job back for later: it cannot do it now, and that is not the job's fault. No attempt is spent.
-- KEYS  1 base of the shard
-- ARGV  1 job id   2 fence   3 delay in ms
-- Returns "waiting" | "cancelled" | "lost"
local j = owned(ARGV[1], ARGV[2], MAY.defer)
if not j then return said(K.job .. ARGV[1], 'defer' .. ARGV[2]) or 'lost' end
unspend(j)
return let_go(j, 'defer', S.waiting, { due = NOW + ARGV[3] })
