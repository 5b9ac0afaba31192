-- relocate: jobs that wait in a region which has had no live worker for long enough go to one that has. In front of a
-- job whose time has come go those that its client would have had done before it; a share in a job follows that job.
-- Called twice, the second takes those that are next.
-- KEYS  1 base of the shard
-- ARGV  1 ms without a live worker, and in line   2 how many jobs at most   3 how many of the regions may be gone to
--       4 how many lanes each has   5.. for each region, in order of preference: its name, its lanes (alike in all)
-- Returns jobs that went
local over, most, width = NOW - ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[4])
local GAP = 30000 -- ms without a look, after which nothing is known of those who had said that they live
local PLACES = 32 -- of one client that are looked at in one call: the others have their turn
local gone, looks = 0, 4 * most

-- ms until which somebody lives there; in the past, it is since then that nobody does
local function alive_till(region)
  local newest = call('ZREVRANGE', K.serving .. region, 0, 0, 'WITHSCORES')
  return tonumber(newest[2] or '0')
end

-- Whoever has had more than its turns lately has had them there, too.
local function keep_turn(client, from, to)
  local vt = call('ZSCORE', K.ring .. from, client)
  if vt and call('HEXISTS', K.park .. client, to) == 0 then
    local ahead = math.max(0, vt - (call('HGET', K.vt, from) or 0))
    call('ZADD', K.ring .. to, 'NX', (call('HGET', K.vt, to) or 0) + ahead, client)
  end
end

local function follow(client, from, to, region)
  local list, places, last = K.list .. from .. ':' .. client, {}, 0
  for n, jid in ipairs(call('LRANGE', list, 0, math.min(PLACES, looks) - 1)) do
    local since = tonumber(call('ZSCORE', K.queued .. from, jid) or NOW)
    -- begun once, it has waited since the last worker went, however lately it came back to the line
    local is_due = since <= over or call('HEXISTS', K.job .. jid, 'sa') == 1
    places[n] = load(jid) or { id = jid }
    if places[n].own == client and is_due then last = n end
  end
  looks = looks - #places
  if last > 0 then keep_turn(client, from, to) end
  for n, j in ipairs(places) do
    if not j.st or not may(MAY.relocate, j.st) then
      call('LREM', list, 1, j.id) -- nobody is to come for it
    elseif j.lane ~= from then
      call('LREM', list, 1, j.id)
      give_place(j, client)
    elseif j.own == client and n <= last and gone < most then
      change_lane(j, to)
      call('HSET', K.job .. j.id, 'rg', region)
      changed(j.id, true)
      gone = gone + 1
    end
  end
  if call('EXISTS', list) == 0 then call('ZREM', K.ring .. from, client) end
end

local function leave(from, to, region)
  local clients, known = {}, {}
  local function add(client)
    if client and not known[client] then clients[#clients + 1], known[client] = client, true end
  end
  -- its owner may be parked, and then is not in the ring
  for _, jid in ipairs(call('ZRANGEBYSCORE', K.queued .. from, '-inf', int(over), 'LIMIT', 0, most)) do
    add(call('HGET', K.job .. jid, 'own'))
  end
  for _, client in ipairs(call('ZRANGE', K.ring .. from, 0, most - 1)) do add(client) end
  for _, client in ipairs(clients) do
    if looks > 0 then follow(client, from, to, region) end
  end
end

local watched = call('HMGET', K.watched, 'last', 'since')
local since = watched[1] and NOW - watched[1] <= GAP and watched[2] or int(NOW)
call('HSET', K.watched, 'last', int(NOW), 'since', since)
if tonumber(since) > over then return 0 end

local refuge
for i = 5, 4 + ARGV[3] * (width + 1), width + 1 do
  if not refuge and alive_till(ARGV[i]) > NOW then refuge = i end
end
if not refuge then return 0 end
for i = 5, #ARGV, width + 1 do
  if alive_till(ARGV[i]) <= over then
    for n = 1, width do leave(ARGV[i + n], ARGV[refuge + n], ARGV[refuge]) end
  end
end
return gone
