-- release: the worker hands an untouched job back, to the front of its client's line. No attempt is spent.
-- KEYS  1 base of the shard
-- ARGV  1 job id   2 fence
-- Returns "queued" | "cancelled" | "lost"
local j = owned(ARGV[1], ARGV[2], MAY.release)
if not j then return said(K.job .. ARGV[1], 'release' .. ARGV[2]) or 'lost' end
unspend(j)
return let_go(j, 'release', S.queued, { head = true })
