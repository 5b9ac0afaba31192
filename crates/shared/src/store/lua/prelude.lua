-- What every script shares: the clock, a job's record, and `move`, the one way from state to state.
-- Names that stand for texts are replaced by Rust before this is sent: K (keys, below the base of a shard), S (words
-- of states), MAY (states that an action may leave), LANE (how the names of lanes end, and their `turns`), ANYBODY (who
-- stands for all clients), KIND (kinds of jobs), CODE (of failures), VERDICT (on a yt-dlp that is on trial).
-- Nothing here decodes a spec, a request, progress or a result: they are opaque bytes.

local B = KEYS[1]
local call = redis.call
local NOW, MICROS
do
  local t = call('TIME')
  MICROS = t[1] * 1000000 + t[2]
  NOW = math.floor(MICROS / 1000)
end

-- Numbers leave Lua as text: `tostring` would write large ones as 1.7e+15.
local function int(x) return string.format('%.0f', x) end

local function load(jid)
  local v = call('HMGET', K.job .. jid, 'st', 'own', 'chg', 'lane', 'tok', 'cx', 'fp', 'n', 'att', 'max', 'kind', 'keep',
    'si', 'via', 'yt', 'shy', 'lf')
  if not v[1] then return nil end
  return { id = jid, st = v[1], own = v[2], chg = v[3], lane = v[4], tok = v[5], cx = v[6], fp = v[7],
    n = tonumber(v[8]), att = tonumber(v[9]), max = tonumber(v[10]), kind = v[11], keep = v[12],
    site = v[13], via = v[14], yt = v[15], shy = v[16], lf = v[17] }
end

-- Is `state` one of `states`, as MAY has them?
local function may(states, state) return string.find(states, ' ' .. state .. ' ', 1, true) ~= nil end

-- Who keeps what it saw of a job asks, before it shows it again, whether that may still be so: these versions tell. One
-- belongs to all jobs whose ids end alike, and one to all that stand in line, where a place depends on the others.
local LINE = 4096
local function version_of(jid) return tonumber(string.sub(jid, -3), 16) end -- below LINE

-- Watchers of the job look again. `line`: so has the place in line of others.
local function changed(jid, line)
  call('PUBLISH', K.changed, jid)
  call('BITFIELD', K.versions, 'INCRBY', 'u32', '#' .. version_of(jid), 1, 'INCRBY', 'u32', '#' .. LINE, line and 1 or 0)
end

-- One token wakes one waiting worker. Bounded: with so many waiting, everyone who is awake finds work.
local function wake(lane)
  if call('LLEN', K.wake .. lane) < 64 then call('RPUSH', K.wake .. lane, 1) end
end

-- More waits than one worker took: one other is woken, who sees to the next.
local function wake_another(lane)
  if call('EXISTS', K.wake .. lane) == 0 and call('EXISTS', K.ring .. lane) == 1 then wake(lane) end
end

-- A client with work stands in the ring of its lane, or in its park while it runs as much as it may.
-- Newcomers start at the present virtual time: nobody saves up turns by staying away.
local function join_ring(lane, client)
  if call('HEXISTS', K.park .. client, lane) == 0 then
    call('ZADD', K.ring .. lane, 'NX', call('HGET', K.vt, lane) or '0', client)
  end
  wake(lane)
end

local function unpark(client)
  local parked = call('HGETALL', K.park .. client)
  if #parked == 0 then return end
  for i = 1, #parked, 2 do
    local lane, vt = parked[i], tonumber(parked[i + 1])
    call('ZADD', K.ring .. lane, math.max(vt, tonumber(call('HGET', K.vt, lane) or '0')), client)
    wake(lane)
  end
  call('DEL', K.park .. client)
end

local function count(hash, field, by)
  if call('HINCRBY', hash, field, by) <= 0 then call('HDEL', hash, field) end
end

-- Puts `value` before the others of a list that keeps about its newest `most`.
local function note(list, value, most)
  if call('LPUSH', list, value) > most + 32 then call('LTRIM', list, 0, most - 1) end
end

local function idle(state) return state == S.queued or state == S.waiting end

-- What is counted of the present day (UTC).
local function day() return K.day .. int(math.floor(NOW / 86400000)) end

-- The object that is the result of a job, if it has one; what lies beside it stands behind it.
local function result_of(jid) return string.match(call('HGET', K.job .. jid, 'obj') or '', '^%+%d+:(%S+)') end

-- The result of job `j` becomes the own of `client`, or of all who hold a ticket. It does so once, whichever and however
-- many of their tickets bring it, and counts on that day at its size; what lies beside it does not count.
local function hand_over(j, client)
  local key = K.job .. j.id
  local size = string.match(call('HGET', key, 'obj') or '', '^%+(%d+):')
  if not size then return end
  local takers = { ANYBODY, client or j.own }
  for _, field in ipairs(client and {} or call('HKEYS', key)) do
    takers[#takers + 1] = string.match(field, '^by:(.*)$')
  end
  for _, taker in ipairs(takers) do
    if call('HSETNX', key, 'to:' .. taker, 1) == 1 then call('HINCRBY', day(), taker, size) end
  end
  call('PEXPIRE', day(), 172800000)
end

-- Whoever holds `ticket` is to be told that it came to this end, if they asked for that. Any worker may do it, for a day.
local TELL_FOR = 86400000 -- ms
local function to_tell(ticket, state)
  local key = K.hook .. ticket
  if call('EXISTS', key) == 0 then return end
  call('HSET', key, 'end', state, 'at', int(NOW), 'till', int(NOW + TELL_FOR), 'n', 0)
  call('ZADD', K.untold, int(NOW), ticket)
  if call('EXISTS', K.wake .. 'untold') == 0 then wake('untold') end
end

-- The same for all who hold job `j`. A version that knows of no webhooks leaves those among them who have let go of it.
local function tell_all(j, state)
  local tickets = call('SMEMBERS', K.hooks .. j.id)
  if #tickets == 0 then return end
  for _, ticket in ipairs(tickets) do
    local t = call('HMGET', K.ticket .. ticket, 'jid', 'st')
    if t[1] == j.id and not t[2] then to_tell(ticket, state) end
  end
  call('DEL', K.hooks .. j.id)
end

-- The moments of a download are the statuses and stages that it enters, one after the other: whoever follows it is told
-- each, also who was away meanwhile. Of a job, or of a ticket that has let go of one:
--   mo  the newest: "<number> <status> <first letter of its stage, or ->"
--   mp  how often it was told since how far the job is (none: never)   at  that, in short: the letter of a stage, and what is opaque here
--   ev  the newest ones, packed one after the other: `at` where only the stage is another, else {status, at, attempt, worker,
--       due, code of a failure}, as far as there is any
-- Bytes of `ev`, or the oldest quarter is forgotten: a value of more than 1,024 would make of the record a table of four
-- times its size.
local LOG = 1000
local function moment(key, status, at, more)
  local v = call('HMGET', key, 'mo', 'ev')
  local number = int(tonumber(string.match(v[1] or '0', '^%d+')) + 1)
  local log, entry = v[2] or '', at
  if more then
    entry = { status, at, unpack(more) }
    while not entry[#entry] do entry[#entry] = nil end
  end
  entry = cmsgpack.pack(entry)
  if #log + #entry > LOG then
    local all = { cmsgpack.unpack(log) }
    local first = math.floor(#all / 4) + 1
    while type(all[first]) == 'string' do first = first + 1 end -- it goes on from what is forgotten
    log = all[first] and cmsgpack.pack(unpack(all, first)) or ''
  end
  local stage = status == S.running and string.sub(at or 'e', 1, 1) or '-'
  call('HSET', key, 'ev', log .. entry, 'mo', number .. ' ' .. status .. ' ' .. stage)
  call('HDEL', key, 'mp')
end

-- Job `j` enters a state. Whether it waits in line or for its time is no moment: both are `queued`.
local function enter(j, to)
  if j.kind ~= KIND.download or idle(j.st) and idle(to) then return end
  local key, waits = K.job .. j.id, to == S.waiting
  local v = call('HMGET', key, 'at', 'att', 'wk', 'due', 'again')
  local at = (to ~= S.running or v[5] == v[2]) and v[1] -- an attempt begins anew, unless the one before did not count
  moment(key, waits and S.queued or to, at, { v[2], to == S.running and v[3], waits and v[4], j.code or false })
end

-- Running job `j` is so far. A beat that comes twice tells nothing new.
local function reach(j, at)
  if j.kind ~= KIND.download then return end
  local key = K.job .. j.id
  local newest = call('HGET', key, 'mo')
  call('HSET', key, 'at', at)
  if newest and string.sub(newest, -1) ~= string.sub(at, 1, 1) then
    moment(key, S.running, at)
  else
    call('HINCRBY', key, 'mp', 1)
  end
end

-- Running job `j` has passed through these stages, the last of them between two beats. A stage that it came back to is there
-- twice; the newest moment is of the later one.
local function pass(j, stages)
  local v = call('HMGET', K.job .. j.id, 'mo', 'at')
  local at, newest, known = v[2] or 'e', v[1] and string.sub(v[1], -1), #stages
  for i, stage in ipairs(stages) do
    if string.sub(stage, 1, 1) == newest then known = i end
  end
  for i = known + 1, #stages do
    moment(K.job .. j.id, S.running, string.sub(stages[i], 1, 1) .. string.sub(at, 2))
  end
end

-- Moves job `j` to state `to` and keeps every list and counter true to it.
--   queued: `at.head` puts it before its client's other jobs
--   waiting: `at.due` in ms
--   running: `at.deadline` in ms, `at.client` to charge, `at.popped` when its own list has let go of it already
local function move(j, to, at)
  local key = K.job .. j.id
  if j.st == S.running then
    call('ZREM', K.lease, j.id)
    count(K.run, j.chg, -1)
    if j.via then count(K.via, j.via, -1) end
    unpark(j.chg)
  elseif j.st == S.queued then
    call('ZREM', K.queued .. j.lane, j.id)
    if not (at and at.popped) then call('LREM', K.list .. j.lane .. ':' .. j.own, 1, j.id) end
  elseif j.st == S.waiting then
    call('ZREM', K.delay, j.id)
    call('HDEL', key, 'due')
  end
  if idle(j.st) and not idle(to) then count(K.load, j.own, -1) end
  if idle(to) and not idle(j.st) then call('HINCRBY', K.load, j.own, 1) end

  if to == S.queued then
    call(at.head and 'LPUSH' or 'RPUSH', K.list .. j.lane .. ':' .. j.own, j.id)
    call('ZADD', K.queued .. j.lane, int(NOW), j.id)
    call('HSET', key, 'st', to)
    join_ring(j.lane, j.own)
  elseif to == S.waiting then
    call('ZADD', K.delay, int(at.due), j.id)
    call('HSET', key, 'st', to, 'due', int(at.due))
    -- Whoever is to look sleeps until what was due next: of what is due before that somebody has to know.
    if call('ZRANGE', K.delay, 0, 0)[1] == j.id then wake(j.lane) end
  elseif to == S.running then
    call('ZADD', K.lease, int(at.deadline), j.id)
    call('HINCRBY', K.run, at.client, 1)
    if j.via then call('HINCRBY', K.via, j.via, 1) end
    call('HSET', key, 'st', to, 'chg', at.client)
    call('HSETNX', key, 'sa', int(NOW))
  else
    call('ZREM', K.live, j.id)
    call('HINCRBY', K.count, j.kind .. ':' .. to, 1)
    call('HSET', key, 'st', to, 'ft', int(NOW))
    -- what only its runs needed; a retry brings an order of its own
    call('HDEL', key, 'spec', 'chg', 'wk', 'crash', 'si', 'via', 'shy', 'lf')
    call('PEXPIRE', key, j.keep)
    tell_all(j, to)
    note(K.ends, int(NOW), 64)
    note(K.pace .. j.own, int(NOW), 16)
    call('PEXPIRE', K.pace .. j.own, 3600000)
    if to == S.completed then hand_over(j) end
    if to ~= S.completed and call('GET', K.flight .. j.fp) == j.id then call('DEL', K.flight .. j.fp) end
  end
  enter(j, to)
  local line = j.st == S.queued or to == S.queued
  j.st = to
  changed(j.id, line)
end

-- Job `j` changes lanes. In line it keeps the time since which it waits, and goes behind its client's others there.
local function change_lane(j, lane)
  if j.st == S.queued then
    local since = call('ZSCORE', K.queued .. j.lane, j.id)
    call('ZREM', K.queued .. j.lane, j.id)
    call('LREM', K.list .. j.lane .. ':' .. j.own, 1, j.id)
    call('ZADD', K.queued .. lane, since, j.id)
    call('LREM', K.list .. lane .. ':' .. j.own, 1, j.id) -- a share that it had before the job became its own
    call('RPUSH', K.list .. lane .. ':' .. j.own, j.id)
    join_ring(lane, j.own)
  end
  call('SADD', K.lanes, lane)
  call('HSET', K.job .. j.id, 'lane', lane)
  j.lane = lane
end

-- A place in line for a client that shares waiting job `j`: who waits behind fewer is served earlier, and takes it along.
local function give_place(j, client)
  local list = K.list .. j.lane .. ':' .. client
  if j.st == S.queued and client ~= j.own and not call('LPOS', list, j.id) then
    call('RPUSH', list, j.id)
    join_ring(j.lane, client)
  end
end

-- A write to a running job is its newest owner's, or nobody's.
local function owned(jid, fence, states)
  local j = load(jid)
  if not j or j.tok ~= fence or not may(states, j.st) then return nil end
  return j
end

-- Whoever held the job may not come back to it.
local function raise_fence(j)
  call('HSET', K.job .. j.id, 'tok', int(tonumber(j.tok or '0') + 1))
end

-- The last answer given at a record stands there with the mark of the call it was given to: when that call comes
-- again, because its answer was lost, it is answered alike.
local function say(key, mark, word)
  call('HSET', key, 'said', mark .. ' ' .. word)
  return word
end

local function said(key, mark)
  local mark_before, word = string.match(call('HGET', key, 'said') or '', '^(%S+) (%S+)$')
  return mark_before == mark and word or nil
end

-- The owner of job `j` lets go of it by `action`, unless it is to be cancelled: that ends here.
local function let_go(j, action, to, at)
  raise_fence(j)
  if j.cx then to = S.cancelled end
  move(j, to, at)
  return say(K.job .. j.id, action .. j.tok, to)
end

-- The attempt that ends here did not count. The next one has its number, and goes on from how far this one came.
local function unspend(j)
  call('HINCRBY', K.job .. j.id, 'att', -1)
  call('HSET', K.job .. j.id, 'again', int(j.att))
end

local function sample(name, seconds) note(K.time .. name, seconds, 512) end
