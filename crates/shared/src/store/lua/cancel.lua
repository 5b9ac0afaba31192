-- cancel: one ticket lets go of an unfinished job. The last one ends it; until then it runs on for the others,
-- and the ticket shows the job as it left it, whatever becomes of the run.
-- KEYS  1 base of the shard
-- ARGV  1 ticket   2 mark of this call   3 "1": nobody is told of its end, who was not told before
-- Returns "now" | "stopping" | "ended" | "gone"

-- With its last ticket of a job that others want, a client gives up its place in line. An owner passes the job on: it is
-- not to be counted against one who does not want it.
local function depart(j, client)
  local key, list = K.job .. j.id, K.list .. j.lane .. ':'
  if client ~= j.own then
    if call('HINCRBY', key, 'by:' .. client, -1) <= 0 then
      call('HDEL', key, 'by:' .. client)
      call('LREM', list .. client, 1, j.id)
    end
    return
  end
  local heir, theirs, fields = nil, 0, call('HGETALL', key)
  for i = 1, #fields, 2 do
    local other = string.match(fields[i], '^by:(.*)$')
    if other then
      theirs = theirs + fields[i + 1]
      if not heir or other < heir then heir = other end
    end
  end
  if not heir or theirs < j.n - 1 then return end
  if idle(j.st) then
    count(K.load, client, -1)
    call('HINCRBY', K.load, heir, 1)
  end
  call('HDEL', key, 'by:' .. heir)
  call('HSET', key, 'own', heir)
  if j.st == S.queued then
    give_place(j, heir)
    call('LREM', list .. client, 1, j.id)
  else
    call('LREM', list .. heir, 1, j.id)
  end
end

local tkey = K.ticket .. ARGV[1]
local before = said(tkey, ARGV[2])
if before then return before end
local t = call('HMGET', tkey, 'jid', 'st', 'cl')
if ARGV[3] == '1' then
  call('DEL', K.hook .. ARGV[1], K.tries .. ARGV[1])
  call('ZREM', K.untold, ARGV[1])
  if t[1] then call('SREM', K.hooks .. t[1], ARGV[1]) end
end
if t[2] then return 'ended' end
local j = t[1] and load(t[1])
if not j then return 'gone' end
if not may(MAY.cancel, j.st) then return 'ended' end
if j.cx then return 'stopping' end

if j.n > 1 then
  for _, field in ipairs({ 'rg', 'att', 'max', 'sa', 'pg', 'med', 'at', 'mo', 'mp', 'ev', 'yt' }) do
    local value = call('HGET', K.job .. j.id, field)
    if value then call('HSET', tkey, field, value) end
  end
  call('HSET', tkey, 'st', S.cancelled, 'ft', int(NOW))
  if j.kind == KIND.download then moment(tkey, S.cancelled, call('HGET', tkey, 'at'), {}) end
  depart(j, t[3])
  call('SREM', K.hooks .. j.id, ARGV[1])
  to_tell(ARGV[1], S.cancelled)
  call('HINCRBY', K.job .. j.id, 'n', -1)
  changed(j.id, true)
  return say(tkey, ARGV[2], 'now')
end
if j.st == S.running then
  call('HSET', K.job .. j.id, 'cx', 1)
  -- Whoever asks for the same now gets a run of their own, not a share in a dying one.
  if call('GET', K.flight .. j.fp) == j.id then call('DEL', K.flight .. j.fp) end
  changed(j.id)
  return say(tkey, ARGV[2], 'stopping')
end
raise_fence(j)
move(j, S.cancelled)
return say(tkey, ARGV[2], 'now')
