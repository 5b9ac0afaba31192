-- sentry: who looks when something is due. A part of other scripts.
-- Of those who wait for jobs one has promised to look at the next due moment, and the others sleep on: a thousand of them would
-- come for one job. Why so, and what becomes of a promise that is broken: docs/decisions/0053-one-of-those-who-wait-looks.md.
--   K.sentry  "<ms of that moment> <worker>:<kind>"; lives GRACE longer
-- Returns nothing by itself; what each function returns stands with it.
local GRACE = 1000 -- ms by which a sentry may be late before another one stands in

-- ms until there will be something to look after; none: nil.
local function next_due()
  local function first(set) return tonumber(call('ZRANGE', set, 0, 0, 'WITHSCORES')[2]) end
  local delay, lease, live = first(K.delay), first(K.lease), first(K.live)
  if lease then lease = math.max(lease, tonumber(call('GET', K.amnesty) or '0')) end
  local due = math.min(delay or math.huge, lease or math.huge, live or math.huge)
  return due < math.huge and math.max(1, due - NOW) or nil
end

-- One of those who wait is to come, and to see what is due next. Whatever its lane: what comes into line wakes whom it concerns.
local function call_sentry()
  if call('EXISTS', K.wake .. 'sentry') == 0 then wake('sentry') end
end

-- `who` has found nothing, and waits from now on. Returns ms after which it has to look, for all; nil: it need not.
local function stand_sentry(who)
  local due = next_due()
  if not due then return nil end
  local at, sentry = string.match(call('GET', K.sentry) or '', '^(%d+) (.*)$')
  if sentry and sentry ~= who and tonumber(at) <= NOW + due then return nil end
  call('SET', K.sentry, int(NOW + due) .. ' ' .. who, 'PX', int(due + GRACE))
  call('DEL', K.wake .. 'sentry') -- nobody needs to come for what is seen to
  return due
end

-- Whoever's name begins so may not be there at the next due moment: had it promised that, or was it called because nobody has,
-- another one is to stand in.
local function relieve(who)
  local sentry = string.match(call('GET', K.sentry) or '', '^%d+ (.*)$')
  if sentry and string.sub(sentry, 1, #who) ~= who then return end
  call('DEL', K.sentry)
  if next_due() then call_sentry() end
end
