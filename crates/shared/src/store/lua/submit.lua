-- submit: a new job, a share in one that goes on, or in a finished result; with `retry`, under an old ticket.
-- KEYS  those of the shard, by name in K
-- ARGV  1 new job id     2 ticket         3 client          4 fingerprint    5 spec          6 lane
--       7 kind           8 max attempts   9 queue limit     10 client limit  (empty: none)   11 running limit (empty: none)
--       12 weight        13 request       14 ms to keep the result for this ticket           15 ms the ticket lives
--       16 ms the job may stay unfinished, and its record after its end   17 idempotency key hash (empty: none)             18 body hash
--       19 ms the idempotency key lives    20 "1": shown in lists        21 "1": retry       22 region
-- Returns {"new"} | {"join"} | {"reuse"} | {"same"} | {"replay", ticket} | {"conflict"} | {"gone"} | {"not_retryable"}
--         | {"full" or "busy", jobs waiting, ends counted, ms they took}
local jid, ticket, client, fp, lane, kind = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[6], ARGV[7]
local tkey, idem = K.ticket .. ticket, K.idem .. ARGV[17]
local retry = ARGV[21] == '1'

if ARGV[17] ~= '' then
  local had = call('HMGET', idem, 'body', 'ticket')
  if had[1] and call('EXISTS', K.ticket .. had[2]) == 1 then
    if had[1] ~= ARGV[18] then return { 'conflict' } end
    return { 'replay', had[2] }
  end
end

local old
if retry then
  local t = call('HMGET', tkey, 'jid', 'st')
  old = not t[2] and t[1] and load(t[1]) -- a ticket with a state of its own has let go of its job
  if not t[2] and not old then return { 'gone' } end
  if not may('retry', t[2] or old.st) then return { 'not_retryable' } end
elseif call('EXISTS', tkey) == 1 then
  return { 'same' }
end

local shared = call('GET', K.flight .. fp)
local run = shared and load(shared)
local word = 'new'
if run and may('join', run.st) and not run.cx then
  word = 'join'
elseif run and may('reuse', run.st) then
  word = 'reuse'
else
  local waiting = call('ZCARD', K.live) - call('ZCARD', K.lease)
  local mine = tonumber(call('HGET', K.load, client) or '0')
  local full = ARGV[9] ~= '' and waiting >= tonumber(ARGV[9]) and 'full'
  local busy = ARGV[10] ~= '' and mine >= tonumber(ARGV[10]) and 'busy'
  if full or busy then
    local ends = call('LRANGE', K.ends, 0, -1)
    local took = #ends > 0 and NOW - tonumber(ends[#ends]) or 0
    return { full or busy, int(full and waiting or mine), int(#ends), int(took) }
  end
end

if old then
  if old.n <= 1 then call('DEL', K.job .. old.id) else call('HINCRBY', K.job .. old.id, 'n', -1) end
  changed(old.id)
end
if retry then
  call('HDEL', tkey, 'st', 'ft', 'rg', 'att', 'max', 'sa', 'pg', 'med')
else
  call('HSET', tkey, 'cl', client, 'ct', int(NOW))
  if ARGV[20] == '1' then
    call('ZADD', K.own .. client, int(NOW), ticket)
    call('ZADD', K.recent, int(NOW), ticket)
    call('ZREMRANGEBYRANK', K.recent, 0, -10001)
  end
end
if ARGV[20] == '1' then
  -- Twice the life of a ticket: one that was tried again lives longer than its place here tells.
  call('ZREMRANGEBYSCORE', K.own .. client, '-inf', int(NOW - 2 * ARGV[15]))
  call('PEXPIRE', K.own .. client, ARGV[15])
end
call('HSET', tkey, 'req', ARGV[13], 'ttl', ARGV[14])
call('PEXPIRE', tkey, ARGV[15])
if ARGV[17] ~= '' then
  call('HSET', idem, 'body', ARGV[18], 'ticket', ticket)
  call('PEXPIRE', idem, ARGV[19])
end

-- New limits let a client back into the ring that was parked under the old ones.
local caps = ARGV[11] .. ':' .. ARGV[12]
if call('GET', K.caps .. client) ~= caps then unpark(client) end
call('SET', K.caps .. client, caps, 'PX', int(2 * ARGV[16]))

if word ~= 'new' then
  call('HSET', tkey, 'jid', run.id)
  call('HINCRBY', K.job .. run.id, 'n', 1)
  -- The joiner's own place in line: who waits behind fewer is served earlier, and takes the run along.
  if run.st == S.queued and client ~= run.own and not call('LPOS', K.list .. run.lane .. ':' .. client, run.id) then
    call('RPUSH', K.list .. run.lane .. ':' .. client, run.id)
    join_ring(run.lane, client)
  end
  if word == 'reuse' then
    -- Who comes late may fetch the result for as long as they asked, not for what is left of its life.
    local till, v = NOW + ARGV[14], call('HMGET', K.job .. run.id, 'del', 'obj')
    call('HSET', tkey, 'exp', int(till))
    if till > tonumber(v[1]) then
      call('HSET', K.job .. run.id, 'del', int(till))
      call('ZADD', K.garbage, 'XX', int(till), v[2])
    end
    call('PEXPIRE', K.job .. run.id, run.keep)
  end
  return { word }
end

call('HSET', tkey, 'jid', jid)
call('HSET', K.job .. jid, 'own', client, 'chg', client, 'lane', lane, 'kind', kind, 'fp', fp, 'spec', ARGV[5], 'n', 1,
  'att', 0, 'max', ARGV[8], 'crash', 0, 'rg', ARGV[22], 'keep', ARGV[16])
call('SET', K.flight .. fp, jid)
call('ZADD', K.live, int(NOW + ARGV[16]), jid)
call('SADD', K.lanes, lane)
move({ id = jid, own = client, lane = lane, kind = kind, fp = fp }, S.queued, {})
return { word }
