-- release: the worker hands an untouched job back, to the front of its client's line. No attempt is spent.
-- KEYS  those of the shard, by name in K
-- ARGV  1 job id   2 fence
-- Returns "ok" | "cancelled" | "lost"
local j = owned(ARGV[1], ARGV[2], 'release')
if not j then return 'lost' end
if let_go(j) then return 'cancelled' end
unspend(j)
move(j, S.queued, { head = true })
return 'ok'
