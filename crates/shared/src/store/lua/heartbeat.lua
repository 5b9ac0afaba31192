-- heartbeat: keep running jobs for their owner, and store how far they are.
-- A worker whose lease was taken back is welcome as long as nobody else has started: its job runs on.
-- KEYS  those of the shard, by name in K
-- ARGV  1 lease length in ms   then for each job: id, fence, progress, media (empty: nothing new)
-- Returns for each job "ok" | "cancel" | "lost"
local answers = {}
for i = 2, #ARGV, 4 do
  local jid, answer = ARGV[i], 'lost'
  local j = owned(jid, ARGV[i + 1], 'heartbeat')
  if j then
    if j.st == S.running then
      call('ZADD', K.lease, int(NOW + ARGV[1]), jid)
    else
      -- What `reap` had taken off and put on: the worker is alive after all.
      call('HINCRBY', K.job .. jid, 'att', 1)
      call('HINCRBY', K.job .. jid, 'crash', -1)
      move(j, S.running, { deadline = NOW + ARGV[1], client = j.chg })
    end
    local had = call('HMGET', K.job .. jid, 'pg', 'med')
    if had[1] ~= ARGV[i + 2] or (ARGV[i + 3] ~= '' and had[2] ~= ARGV[i + 3]) then
      call('HSET', K.job .. jid, 'pg', ARGV[i + 2])
      if ARGV[i + 3] ~= '' then call('HSET', K.job .. jid, 'med', ARGV[i + 3]) end
      changed(jid)
    end
    answer = j.cx and 'cancel' or 'ok'
  end
  answers[#answers + 1] = answer
end
return answers
