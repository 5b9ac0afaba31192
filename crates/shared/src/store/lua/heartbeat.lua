-- heartbeat: keep running jobs for their owner, and store how far they are.
-- A worker whose lease was taken back is welcome as long as nobody else has started: its job runs on.
-- KEYS  1 base of the shard
-- ARGV  1 lease length in ms   then for each job: id, fence, progress, media (empty: nothing new),
--       how far it is in short
-- Returns for each job "ok" | "cancel" | "lost" | "gone" (there is no such job any more)
local answers = {}
for i = 2, #ARGV, 5 do
  local jid, answer = ARGV[i], 'lost'
  local key = K.job .. jid
  local j = owned(jid, ARGV[i + 1], MAY.heartbeat)
  if j then
    if j.st == S.running then
      call('ZADD', K.lease, int(NOW + ARGV[1]), jid)
    else
      -- What `reap` had taken off and put on: the worker is alive after all.
      call('HINCRBY', key, 'att', 1)
      call('HINCRBY', key, 'crash', -1)
      move(j, S.running, { deadline = NOW + ARGV[1], client = j.chg })
    end
    local had = call('HMGET', key, 'pg', 'med')
    if had[1] ~= ARGV[i + 2] or (ARGV[i + 3] ~= '' and had[2] ~= ARGV[i + 3]) then
      call('HSET', key, 'pg', ARGV[i + 2])
      if ARGV[i + 3] ~= '' then call('HSET', key, 'med', ARGV[i + 3]) end
      reach(j, ARGV[i + 4])
      changed(jid)
    end
    answer = j.cx and 'cancel' or 'ok'
  elseif call('EXISTS', key) == 0 then
    answer = 'gone'
  end
  answers[#answers + 1] = answer
end
return answers
