-- view: a job as the holder of one ticket sees it. A part of other scripts.
-- Returns nil | packed, two versions that change with it
--         packed: {place in line (0: not in line), ticket: jid cl ct ttl exp req turn since,
--         job, or ticket that has let go of it: st rg att max wk sa ft due pg med res err del th mo mp,
--         ticket: no fav rat got, job: tr yt}: one text is read in
--         a fraction of the time that twenty take

-- How many are served before: its client's earlier jobs, as many of each other client, who take turns, and what is
-- served of the lane beside theirs.
-- Where many take turns, the first of them stand for all.
local STAND = 32
local rings = {}
local function ring_of(lane)
  if not rings[lane] then
    local ring = { waiting = {}, place = {}, sums = {} }
    for i, client in ipairs(call('ZRANGE', K.ring .. lane, 0, STAND - 1)) do
      ring.waiting[i], ring.place[client] = call('LLEN', K.list .. lane .. ':' .. client), i
    end
    ring.share = #ring.waiting == STAND and call('ZCARD', K.ring .. lane) / STAND or 1
    rings[lane] = ring
  end
  return rings[lane]
end

-- For each place of a ring, the jobs that it and those before it get done in so many turns. One script looks at many
-- jobs, most of which are few turns away.
local function done_in(ring, turns)
  if not ring.sums[turns] then
    local sums = { [0] = 0 }
    for i, waiting in ipairs(ring.waiting) do sums[i] = sums[i - 1] + math.min(waiting, turns) end
    ring.sums[turns] = sums
  end
  return ring.sums[turns]
end

-- Jobs of the other priority that are served before the one that is `nth` in its own lane: one turn in LANE.turns
-- begins with the less urgent ones.
local function between(lane, nth)
  local where, priority = string.match(lane, '^(.*:)(.-)$')
  local is_low = priority == LANE.low
  local others = call('ZCARD', K.queued .. where .. (is_low and LANE.normal or LANE.low))
  return math.min(others, is_low and nth * (LANE.turns - 1) or math.floor((nth - 1) / (LANE.turns - 1)))
end

local function place(jid, lane, client)
  -- from the end: who has just come stands there
  local before = call('LPOS', K.list .. lane .. ':' .. client, jid, 'RANK', -1) or 0
  local ring = ring_of(lane)
  local all, own = #ring.waiting, ring.place[client]
  -- clients that stand before this one in the ring have one turn more
  local others = done_in(ring, before + 1)[own and own - 1 or all]
  if own then others = others + done_in(ring, before)[all] - done_in(ring, before)[own] end
  local nth = math.floor(before + others * ring.share) + 1
  return nth + between(lane, nth)
end

local function view(ticket)
  local tkey = K.ticket .. ticket
  local t = call('HMGET', tkey, 'jid', 'cl', 'ct', 'ttl', 'exp', 'req', 'st', 'turn', 'since', 'no', 'fav', 'rat', 'got')
  if not t[1] then return nil end
  local j = call('HMGET', t[7] and tkey or K.job .. t[1], 'st', 'rg', 'att', 'max', 'wk', 'sa', 'ft', 'due', 'pg', 'med',
    'res', 'err', 'del', 'lane', 'th', 'mo', 'mp', 'tr', 'yt')
  if not j[1] then return nil end
  local nth = j[1] == S.queued and place(t[1], j[14], t[2]) or 0
  local packed = cmsgpack.pack({ int(nth), t[1], t[2], t[3], t[4], t[5], t[6], t[8], t[9],
    j[1], j[2], j[3], j[4], j[5], j[6], j[7], j[8], j[9], j[10], j[11], j[12], j[13], j[15], j[16], j[17],
    t[10], t[11], t[12], t[13], j[18], j[19] })
  return packed, version_of(t[1]), nth > 0 and LINE or version_of(t[1])
end
