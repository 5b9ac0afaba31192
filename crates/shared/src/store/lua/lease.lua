-- lease: the next jobs for a worker with free slots.
-- Clients take turns by virtual time; one that runs as much as it may is parked beside the ring until a job of its ends.
-- A job whose site is to be left alone is put off, and the next one looked at. One that is left to workers with another yt-dlp
-- stays where it is.
-- A call that comes again with its mark, because its answer was lost, is given the jobs that it was given then; if it has
-- fewer slots by now, the others go back to the front of their line, and no attempt is spent.
-- KEYS  1 base of the shard
-- ARGV  1 worker   2 kind   3 mark of this call   4 lease length in ms   5 how many jobs   6 turns taken before
--       7 kind whose waits are sampled, and whose failures are told
--       8 ms between two looks   9 lost leases after which a job has failed   10 that failure
--       11 name of the address that sites see   12 jobs of one site at once through it (empty: any number)
--       13 which yt-dlp the worker has (empty: it cannot tell)
--       14 where its looks at each lane go on, as the call before said   15.. lanes in order of preference, each followed by that of
--       less urgent jobs
-- Returns {ms after which it has to look again (0: call again at once, -1: unless it is woken it need not), failed, jobs left to
--         others, where the next looks go on} or {0, failed, jobs left to others, where the next looks go on, for each job: id,
--         fence, attempt, max attempts, spec, ms it stood in line, progress of an attempt with this number that was lost (empty:
--         none), lane, span of a trace (empty: none)}; failed: jobs that have, for their lost leases; told once, so lost with
--         the answer
local STEPS = 64 -- jobs put off, clients parked and stale entries passed over in one call; a wake token calls again
local worker, mark, lease_ms, want, version = ARGV[1], ARGV[3], ARGV[4], tonumber(ARGV[5]), ARGV[13]
local who = worker .. ':' .. ARGV[2]
local asked = K.asked .. who
local answer, ids = { '0', '0', '0', '' }, {}

local function give(j, fence, waited)
  ids[#ids + 1] = j.id
  local v = call('HMGET', K.job .. j.id, 'spec', 'pg', 'again', 'tr')
  local reached = v[2] and v[3] == int(j.att) and v[2] or ''
  if v[2] and reached == '' then call('HDEL', K.job .. j.id, 'pg', 'at') end
  for _, value in ipairs({ j.id, fence, int(j.att), int(j.max), v[1], int(waited), reached, j.lane, v[4] or '' }) do
    answer[#answer + 1] = value
  end
end

local before, jobs = string.match(call('GET', asked) or '', '^(%S+) (.*)$')
if before == mark then
  for jid in string.gmatch(jobs, '%S+') do
    local j = load(jid)
    if j and j.st == S.running and call('HGET', K.job .. jid, 'wk') == worker then
      if #ids < want then
        give(j, j.tok, 0)
      else
        unspend(j)
        let_go(j, 'release', S.queued, { head = true })
      end
    end
  end
  return answer
end
local function look_after(every)
  local did = tend(every, lease_ms, ARGV[9], ARGV[10], ARGV[7])
  answer[2] = int(answer[2] + did[5])
  return did
end
look_after(ARGV[8])

local function begin(j, client, via)
  local fence = int(math.max(MICROS, tonumber(j.tok or '0') + 1))
  local waited = NOW - (call('ZSCORE', K.queued .. j.lane, j.id) or NOW)
  j.att, j.via = j.att + 1, via
  begins(j, version)
  call('HSET', K.job .. j.id, 'tok', fence, 'wk', worker, 'att', int(j.att), 'via', via, 'yt', int(j.att) .. ' ' .. version)
  move(j, S.running, { deadline = NOW + lease_ms, client = client, popped = j.own == client })
  if j.kind == ARGV[7] then sample('wait', string.format('%.3f', waited / 1000)) end
  give(j, fence, waited)
end

local steps, vts = 0, {}
-- Jobs that may be left to others on each lane in one call, and in a row of one client, before the next one's are looked at. Who
-- is passed over keeps the turn. Where looks end before the line does the next call goes on, so that nothing hides behind many.
local LOOKS, AHEAD = 64, 8
local FIRST = 15
local sights, soonest = {}, math.huge
-- Of each lane: client, depth: whose job is looked at next, and the how manieth   more: some have jobs behind those that were
-- looked at   looks: that may still be made   is_midway: the front of the line was passed over
local function look_from(places)
  local next_place = string.gmatch(places, '%S+')
  for i = FIRST, #ARGV do
    local client, depth, more = string.match(next_place() or '0:0:0', '^(%d+):(%d+):(%d)$')
    local is_midway = client ~= '0' or depth ~= '0'
    sights[ARGV[i]] = { client = tonumber(client), depth = tonumber(depth), more = more == '1', looks = LOOKS, is_midway = is_midway }
  end
end
look_from(ARGV[14])

-- All clients of a lane have been looked at. Goes on with what stands deeper in their lists, then with what was passed over.
-- Returns whether there is any
local function goes_on(sight)
  local is_deeper, is_midway = sight.more, sight.is_midway
  sight.client, sight.depth, sight.more = 0, is_deeper and sight.depth + AHEAD or 0, false
  if not is_deeper then sight.is_midway = false end
  if not is_deeper and not is_midway then sight.looks = 0 end
  return is_deeper or is_midway
end

-- The next job of a client for this worker, taken off its list, as an id and what is recorded; false: all that it has now are
-- left to others, or were looked at before; nil: it has none.
local function next_of(client, lane)
  local list, sight = K.list .. lane .. ':' .. client, sights[lane]
  if not on_trial() then
    local jid = call('LPOP', list)
    return jid or nil, jid and load(jid)
  end
  local jobs = call('LRANGE', list, sight.depth, sight.depth + AHEAD - 1)
  for _, jid in ipairs(jobs) do
    local j = load(jid)
    local ms = j and may(MAY.lease, j.st) and j.lane == lane and leaves(j, version)
    if not ms then
      call('LREM', list, 1, jid)
      return jid, j
    end
    soonest, sight.looks = math.min(soonest, ms), sight.looks - 1
    answer[3] = int(answer[3] + 1)
  end
  sight.more = sight.more or #jobs == AHEAD
  if jobs[1] or call('EXISTS', list) == 1 then return false end
  return nil
end

-- Takes the next job of a lane; false when there is none to be had.
local function take(lane)
  local ring, sight = K.ring .. lane, sights[lane]
  while steps < STEPS and sight.looks > 0 do
    local first = call('ZRANGE', ring, sight.client, sight.client, 'WITHSCORES')
    local client, vt = first[1], first[2]
    local limit, weight = string.match(client and call('GET', K.caps .. client) or ':1', '^(%d*):(%d+)$')
    if not client then
      if call('EXISTS', ring) == 0 then call('DEL', K.wake .. lane) end -- nobody needs to come for what is not there
      if not goes_on(sight) then return false end
    elseif limit ~= '' and tonumber(call('HGET', K.run, client) or '0') >= tonumber(limit) then
      call('ZREM', ring, client)
      call('HSET', K.park .. client, lane, vt)
    else
      local jid, j = next_of(client, lane)
      if jid == false then
        sight.client, sight.looks = sight.client + 1, sight.looks - 1 / AHEAD
        steps = steps - 1 -- `looks` counts these
      elseif not jid then
        -- Only now: one who submits a job at a time must not jump the line by leaving and coming back.
        call('ZREM', ring, client)
      elseif j and may(MAY.lease, j.st) and j.lane == lane then
        local via = ARGV[11] .. ' ' .. (j.site or '-') -- none: an older version took it in
        local wait, why = held_up(j, via, ARGV[12])
        -- Being put off costs a little of a turn: thousands of such jobs keep no other client waiting.
        call('ZADD', ring, tonumber(vt) + (wait and 1 / 16 or 1) / tonumber(weight), client)
        if not wait then
          vts[lane] = vt
          begin(j, client, via)
          return true
        end
        put_off(j, wait, why, j.own == client)
      end
    end
    steps = steps + 1
  end
  return false
end

local function take_next()
  local is_low_first = (ARGV[6] + #ids + 1) % LANE.turns == 0
  for i = FIRST, #ARGV, 2 do
    local one, other = ARGV[i], ARGV[i + 1]
    if is_low_first then one, other = other, one end
    if take(one) or take(other) then return true end
  end
  return false
end
local function take_all() while #ids < want and take_next() do end end
take_all()
if #ids == 0 and look_after(0)[1] > 0 then -- who has nothing to do can look
  look_from('') -- who has come back may stand before them
  take_all()
end

for lane, vt in pairs(vts) do call('HSET', K.vt, lane, vt) end
for i = FIRST, #ARGV do wake_another(ARGV[i]) end
if answer[3] ~= '0' then
  local places = {}
  for i = FIRST, #ARGV do
    local sight = sights[ARGV[i]]
    places[#places + 1] = int(sight.client) .. ':' .. int(sight.depth) .. ':' .. (sight.more and 1 or 0)
  end
  answer[4] = table.concat(places, ' ')
end
if #ids > 0 then
  call('SET', asked, mark .. ' ' .. table.concat(ids, ' '), 'PX', lease_ms)
  if #ids == want then relieve(who) end -- with slots left it is back at once
elseif steps < STEPS then
  local due = math.min(stand_sentry(who) or math.huge, soonest) -- only workers like this one can look for what is left
  answer[1] = int(due < math.huge and due or -1)
end
return answer
