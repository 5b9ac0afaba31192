-- unshare: the object of a result is not in the store any more. No order is given that result again; the next makes it anew.
-- Those who hold it keep their tickets. Called twice it does nothing more.
-- KEYS  1 base of the shard
-- ARGV  1 job id   2 the object
-- Returns "ok" | "other": it is no result of this job, or one that is handed out no more
local j = load(ARGV[1])
if not j or result_of(j.id) ~= ARGV[2] or call('GET', K.flight .. j.fp) ~= j.id then return 'other' end
call('DEL', K.flight .. j.fp)
return 'ok'
