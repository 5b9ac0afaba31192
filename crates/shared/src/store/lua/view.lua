-- view: a job as the holder of one ticket sees it. A part of other scripts.
-- Returns nil | {place in line (0: not in line), ticket: jid cl ct ttl exp req,
--         job, or ticket that has let go of it: st rg att max wk sa ft due pg med res err del}, packed: one text is read
--         in a fraction of the time that twenty take.

-- How many are served before: its client's earlier jobs, as many of each other client, who take turns, and what is
-- served of the lane beside theirs.
-- Where many take turns, the first of them stand for all.
local rings = {}
local function ring_of(lane)
  if not rings[lane] then
    local ring = {}
    for i, client in ipairs(call('ZRANGE', K.ring .. lane, 0, 31)) do
      ring[i] = { client = client, waiting = call('LLEN', K.list .. lane .. ':' .. client) }
    end
    ring.share = #ring == 32 and call('ZCARD', K.ring .. lane) / 32 or 1
    rings[lane] = ring
  end
  return rings[lane]
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
  local others, turns = 0, before + 1 -- clients that stand before this one in the ring have one turn more
  for _, other in ipairs(ring) do
    if other.client == client then turns = before else others = others + math.min(other.waiting, turns) end
  end
  local nth = math.floor(before + others * ring.share) + 1
  return nth + between(lane, nth)
end

local function view(ticket)
  local tkey = K.ticket .. ticket
  local t = call('HMGET', tkey, 'jid', 'cl', 'ct', 'ttl', 'exp', 'req', 'st')
  if not t[1] then return nil end
  local j = call('HMGET', t[7] and tkey or K.job .. t[1], 'st', 'rg', 'att', 'max', 'wk', 'sa', 'ft', 'due', 'pg', 'med',
    'res', 'err', 'del', 'lane')
  if not j[1] then return nil end
  local fields = { int(j[1] == S.queued and place(t[1], j[14], t[2]) or 0) }
  for i = 1, 6 do fields[#fields + 1] = t[i] end
  for i = 1, 13 do fields[#fields + 1] = j[i] end
  return cmsgpack.pack(fields)
end
