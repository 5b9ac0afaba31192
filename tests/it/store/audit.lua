-- audit: what must be true of a shard between any two actions, recounted from the records of its jobs.
-- ARGV  1 prefix of all keys
-- Returns a sentence for each thing that is not true
local B = ARGV[1]
local call = redis.call
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local wrong = {}
local function must(holds, ...) if not holds then wrong[#wrong + 1] = table.concat({ ... }, ' ') end end
local function names(kind) -- what follows `kind` in the names of keys
  local rest = {}
  for _, key in ipairs(call('KEYS', B .. kind .. '*')) do rest[#rest + 1] = string.sub(key, #B + #kind + 1) end
  return rest
end
local function is_in(set, member) return call('ZSCORE', B .. set, member) ~= false end
-- Within a script, what expires while it runs is still there, with nothing left of its life.
local function is_mortal(key) return call('PTTL', B .. key) ~= -1 end
local function sum(map, key, by) map[key] = (map[key] or 0) + by end
local function same(hash, counted)
  local stored = call('HGETALL', B .. hash)
  for i = 1, #stored, 2 do
    must(tonumber(stored[i + 1]) == (counted[stored[i]] or 0), hash, 'of', stored[i], 'is', stored[i + 1])
    counted[stored[i]] = nil
  end
  for client, n in pairs(counted) do must(false, hash, 'of', client, 'is missing, should be', n) end
end

local held = {}
for _, ticket in ipairs(names('t:')) do
  local t = call('HMGET', B .. 't:' .. ticket, 'jid', 'st')
  if not t[2] then
    sum(held, t[1], 1)
    must(call('EXISTS', B .. 'j:' .. t[1]) == 1, 'ticket', ticket, 'has no job')
  end
  must(is_mortal('t:' .. ticket), 'ticket', ticket, 'lives for ever')
end

-- Who wants to be told is, once there is an end: it is due until it was told, or given up.
local function is_ended(ticket)
  local t = call('HMGET', B .. 't:' .. ticket, 'jid', 'st')
  local state = t[2] or t[1] and call('HGET', B .. 'j:' .. t[1], 'st')
  return state and state ~= 'queued' and state ~= 'waiting' and state ~= 'running'
end
for _, ticket in ipairs(names('h:')) do
  local h = call('HMGET', B .. 'h:' .. ticket, 'end', 'st')
  must(is_mortal('h:' .. ticket), 'the webhook of', ticket, 'lives for ever')
  must((h[1] ~= false) == (is_ended(ticket) or false), 'ticket', ticket, 'and its end')
  must((h[1] and not h[2] and true or false) == is_in('untold', ticket), 'the end of', ticket, 'and who tells it')
end
for _, ticket in ipairs(names('tries:')) do must(is_mortal('tries:' .. ticket), 'attempts at', ticket, 'are kept for ever') end
for _, jid in ipairs(names('hooks:')) do
  must(is_mortal('hooks:' .. jid) and is_in('live', jid), 'job', jid, 'has ended, and not told it')
end

local run, load, via, states, unfinished = {}, {}, {}, {}, { queued = 'waits', waiting = 'waits', running = 'runs' }
local bytes, objects = 0, 0
for _, entry in ipairs(call('ZRANGE', B .. 'gc', 0, -1)) do
  local size = string.match(entry, '^%+(%d+):')
  if size then bytes, objects = bytes + size, objects + 1 end
end
for _, jid in ipairs(names('j:')) do
  local key = B .. 'j:' .. jid
  local v = call('HMGET', key, 'st', 'own', 'chg', 'lane', 'n', 'fp', 'cx', 'obj', 'att', 'max', 'del', 'via')
  local st, own, lane, fp = v[1], v[2], v[4], v[6]
  sum(states, st, 1)
  must((unfinished[st] ~= nil) == is_in('live', jid), st, 'job', jid, 'in live:', tostring(is_in('live', jid)))
  must((unfinished[st] ~= nil) == (call('PTTL', key) == -1), st, 'job', jid, 'lives', call('PTTL', key))
  must((st == 'running') == is_in('lease', jid), st, 'job', jid, 'and its lease')
  must((st == 'waiting') == is_in('delay', jid), st, 'job', jid, 'and its delay')
  must((st == 'queued') == is_in('q:' .. lane, jid), st, 'job', jid, 'and its line')
  must(tonumber(v[5]) == (held[jid] or 0), 'job', jid, 'counts', v[5], 'tickets of', held[jid] or 0)
  must(tonumber(v[9]) >= 0 and tonumber(v[9]) <= tonumber(v[10]), 'attempt', v[9], 'of', v[10])
  if unfinished[st] == 'waits' then sum(load, own, 1) end
  if st == 'running' then
    sum(run, v[3], 1)
    sum(via, v[12], 1)
  end
  local list, places = B .. 'c:' .. lane .. ':' .. own, 0
  for _, other in ipairs(call('LRANGE', list, 0, -1)) do if other == jid then places = places + 1 end end
  must(places == (st == 'queued' and 1 or 0), st, 'job', jid, 'is', places, 'times in its own list')
  if st == 'queued' then
    must(is_in('ring:' .. lane, own) or call('HEXISTS', B .. 'park:' .. own, lane) == 1, own, 'has no turn')
  end
  if unfinished[st] and not v[7] then must(call('GET', B .. 'fp:' .. fp) == jid, st, 'job', jid, 'cannot be joined') end
  for object in string.gmatch(v[8] or '', '%S+') do
    local at = call('ZSCORE', B .. 'gc', object)
    must(at == v[11] or (not at and tonumber(v[11]) <= now), 'object of', jid, 'goes at', at or 'no time', 'not', v[11])
  end
end
same('run', run)
same('load', load)
same('via', via)
for _, way in ipairs(names('cb:')) do must(is_mortal('cb:' .. way), 'a breaker', way, 'is remembered for ever') end
for set, state in pairs({ lease = 'running', delay = 'waiting' }) do
  must(call('ZCARD', B .. set) == (states[state] or 0), set, 'holds others')
end
local live = (states.queued or 0) + (states.waiting or 0) + (states.running or 0)
must(call('ZCARD', B .. 'live') == live, 'live holds others')
for _, client in ipairs(names('park:')) do
  must(call('HEXISTS', B .. 'run', client) == 1, client, 'is parked, and nothing will wake it')
end
for _, day in ipairs(names('day:')) do must(is_mortal('day:' .. day), 'day', day, 'is remembered for ever') end
for _, key in ipairs({ 'trial', 'rulings', 'tried' }) do
  must(call('EXISTS', B .. key) == 0 or is_mortal(key), key, 'is remembered for ever')
end
for _, client in ipairs(names('caps:')) do must(is_mortal('caps:' .. client), client, 'is remembered for ever') end
for _, fp in ipairs(names('fp:')) do
  local jid = call('GET', B .. 'fp:' .. fp)
  local v = call('HMGET', B .. 'j:' .. jid, 'st', 'cx')
  must(v[1] == 'completed' or (v[1] == 'failed' and is_mortal('fp:' .. fp)) or (unfinished[v[1]] and not v[2]), 'a newcomer would be led to a job', v[1] or 'that is gone')
end
must(tonumber(call('HGET', B .. 'count', 'bytes') or 0) == bytes, 'bytes stored')
must(tonumber(call('HGET', B .. 'count', 'objects') or 0) == objects, 'objects stored')
return wrong
