-- submit: a new job, a share in one that goes on, or in one that has ended; with `retry`, under an old ticket.
-- KEYS  1 base of the shard
-- ARGV  1 new job id     2 ticket         3 client          4 fingerprint    5 spec          6 lane
--       7 kind           8 max attempts   9 queue limit     10 client limit  (empty: none)   11 running limit (empty: none)
--       12 weight        13 request       14 ms to keep the result for this ticket           15 ms the ticket lives
--       16 ms the job may stay unfinished, and its record after its end      17 lane of less urgent jobs (empty: none)
--       18 µs between two of the client's (empty: no rate)                   19 how many at once
--       20 "1": shown in lists             21 "1": retry    22 region        23 mark of this call (of a retry)
--       24 site
--       25 message that its end is told in (empty: nobody is told)   26 what links begin with
--       27 what that is signed with             28 whose that is
--       29 span of a trace that is kept (empty: none)
--       30 run whose result was seen in the store ("?": none was; empty: a result is handed out unseen)
-- Returns {"new" | "join" | "reuse" | "known" | "same", now, view} | {"gone"} | {"not_retryable"} | {"limited", µs to wait}
--         | {"full" or "busy", jobs waiting, ends counted, ms they took}
--         | {"look", a run, its result}, when it comes to one that is to be seen first; nothing was changed
local jid, ticket, client, fp, lane, kind = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[6], ARGV[7]
local tkey = K.ticket .. ticket
local retry, listed = ARGV[21] == '1', ARGV[20] == '1'

local function answer(word)
  local shown = view(ticket)
  return shown and { word, int(NOW), shown } or { 'gone' }
end

-- What exists already is there because the answer to this call was lost, or the same was promised before.
local left, old
if retry then
  local before = said(tkey, ARGV[23])
  if before then return answer(before) end
  local t = call('HMGET', tkey, 'jid', 'st')
  left, old = t[1], not t[2] and t[1] and load(t[1]) -- a ticket with a state of its own has let go of its job
  if not t[2] and not old then return { 'gone' } end
  if not may(MAY.retry, t[2] or old.st) then return { 'not_retryable' } end
elseif call('EXISTS', tkey) == 1 then
  return answer(call('HEXISTS', tkey, 'exp') == 1 and 'reuse' or 'same')
end

local full, wait = fill(client, ARGV[18], ARGV[19])
if wait then return { 'limited', int(wait) } end

local SHARES = 1000 -- tickets of one run: its end is told to each, in one step
local shared = call('GET', K.flight .. fp)
local run = shared and load(shared)
local word = 'new'
if run and may(MAY.join, run.st) and not run.cx and run.n < SHARES then
  word = 'join'
elseif run and may(MAY.reuse, run.st) then
  word = 'reuse'
  local object = ARGV[30] ~= '' and ARGV[30] ~= run.id and result_of(run.id)
  if object then return { 'look', run.id, object } end
elseif run and not retry and may(MAY.recall, run.st) then
  word = 'known'
else
  local waiting = call('ZCARD', K.live) - call('ZCARD', K.lease)
  local mine = tonumber(call('HGET', K.load, client) or '0')
  local is_full = ARGV[9] ~= '' and waiting >= tonumber(ARGV[9])
  local is_busy = ARGV[10] ~= '' and mine >= tonumber(ARGV[10])
  if is_full or is_busy then
    local ends = call('LRANGE', is_full and K.ends or K.pace .. client, 0, is_full and 63 or 15)
    local took = #ends > 0 and NOW - tonumber(ends[#ends]) or 0
    return { is_full and 'full' or 'busy', int(is_full and waiting or mine), int(#ends), int(took) }
  end
end

charge(client, full)
if old then
  if old.n <= 1 then call('DEL', K.job .. old.id) else call('HINCRBY', K.job .. old.id, 'n', -1) end
end
if retry then
  if left then changed(left) end
  call('HDEL', tkey, 'st', 'ft', 'rg', 'att', 'max', 'sa', 'pg', 'med', 'at', 'mo', 'mp', 'ev', 'yt', 'since', 'exp')
  call('HINCRBY', tkey, 'turn', 1)
else
  call('HSET', tkey, 'cl', client, 'ct', int(NOW))
  if listed then
    call('ZADD', K.own .. client, int(NOW), ticket)
    call('ZADD', K.recent, int(NOW), ticket)
    call('ZREMRANGEBYRANK', K.recent, 0, -10001)
  end
end
if listed then
  -- Twice the life of a ticket: one that was tried again lives longer than its place here tells.
  call('ZREMRANGEBYSCORE', K.own .. client, '-inf', int(NOW - 2 * ARGV[15]))
  call('PEXPIRE', K.own .. client, ARGV[15])
end
call('HSET', tkey, 'req', ARGV[13], 'ttl', ARGV[14], 'jid', word == 'new' and jid or run.id)
call('PEXPIRE', tkey, ARGV[15])
if retry then say(tkey, ARGV[23], word) end
local is_told = ARGV[25] ~= ''
if is_told then
  local hook = K.hook .. ticket
  call('DEL', hook, K.tries .. ticket) -- of an end that is none any more
  call('ZREM', K.untold, ticket)
  call('HSET', hook, 'id', ARGV[25], 'base', ARGV[26])
  call('PEXPIRE', hook, ARGV[15])
  call('HSETNX', K.secrets, ARGV[28], ARGV[27]) -- what is there is as new: an order may have been long on its way
  call('PEXPIRE', K.secrets, ARGV[15])
  if word == 'new' or word == 'join' then
    local hooks = K.hooks .. (word == 'new' and jid or run.id)
    call('SADD', hooks, ticket)
    call('PEXPIRE', hooks, ARGV[15])
  else
    to_tell(ticket, run.st)
  end
end

-- New limits let a client back into the ring that was parked under the old ones.
local caps = ARGV[11] .. ':' .. ARGV[12]
if call('GET', K.caps .. client) ~= caps then unpark(client) end
call('SET', K.caps .. client, caps, 'PX', int(2 * ARGV[16]))

-- What becomes of a run belongs to the first trace that asked for it.
local function traced(id)
  if ARGV[29] ~= '' then call('HSETNX', K.job .. id, 'tr', ARGV[29]) end
end

if word == 'new' then
  call('HSET', K.job .. jid, 'own', client, 'lane', lane, 'kind', kind, 'fp', fp, 'spec', ARGV[5], 'n', 1, 'att', 0,
    'max', ARGV[8], 'rg', ARGV[22], 'keep', ARGV[16], 'si', ARGV[24])
  traced(jid)
  call('SET', K.flight .. fp, jid)
  call('ZADD', K.live, int(NOW + ARGV[16]), jid)
  call('SADD', K.lanes, lane)
  move({ id = jid, own = client, lane = lane, kind = kind, fp = fp }, S.queued, {})
  return answer(word)
end

call('HINCRBY', K.job .. run.id, 'n', 1)
traced(run.id)
call('HSET', tkey, 'since', string.match(call('HGET', K.job .. run.id, 'mo') or '0', '^%d+'))
if word == 'join' then
  if client ~= run.own then call('HINCRBY', K.job .. run.id, 'by:' .. client, 1) end
  if run.lane == ARGV[17] then change_lane(run, lane) end -- who is in a hurry takes the others along
  give_place(run, client)
  changed(run.id, true)
else
  call('PEXPIRE', K.job .. run.id, run.keep)
end
if word == 'reuse' then
  hand_over(run, client)
  -- Who comes late may fetch the result for as long as they asked, not for what is left of its life.
  local till, v = NOW + ARGV[14], call('HMGET', K.job .. run.id, 'del', 'obj')
  call('HSET', tkey, 'exp', int(till))
  if till > tonumber(v[1]) then
    call('HSET', K.job .. run.id, 'del', int(till))
    for object in string.gmatch(v[2] or '', '%S+') do call('ZADD', K.garbage, 'XX', int(till), object) end
    changed(run.id)
  end
end
return answer(word)
