-- sites: which jobs have to wait for the sake of their site, and what the end of a job says of its. A part of other scripts.
-- `via` is a way to a site: "<name of the address> <site>". Its breaker opens when job after job fails there, and lets
-- one job through when its time is over (half open). Numbers and reasons: docs/decisions/0009-breakers-in-the-scripts.md.
--   K.via      how many jobs run on which way
--   K.shut     ways that are open or half open, by the ms at which they are half open
--   K.breaker  kind: of the last failures in a row   n: how many   jobs: beginnings of the ids of the first that failed
--              opened: how often, since one was completed   probe: the job that was let through
-- Returns nothing by itself; what each function returns stands with it.

local FAILURES, JOBS = 8, 5 -- in a row, all of one kind, and of so many jobs at least
local FIRST, LONGEST = 10000, 600000 -- ms of an opening: doubled each time
local ROW, TRACE = 600000, 3600000 -- ms after which failures, and openings, are forgotten
local LOOK = 60000 -- ms after which a job that waits may try another way, or whether this one was closed before its time

local function breaker(via) return K.breaker .. redis.sha1hex(via) end

-- Does job `j` have to wait before it goes this way, of which so many jobs (empty: any number) may run at once?
-- Returns nil | ms at least, why
local function held_up(j, via, limit)
  local till = tonumber(call('ZSCORE', K.shut, via))
  if till and NOW < till then return math.min(till - NOW, LOOK), 'site_shut' end
  if limit ~= '' and tonumber(call('HGET', K.via, via) or '0') >= tonumber(limit) then return 0, 'site_full' end
  if till then
    local key = breaker(via)
    local probe = call('HGET', key, 'probe')
    if probe and call('HGET', K.job .. probe, 'st') == S.running then return 0, 'site_shut' end
    call('HSET', key, 'probe', j.id)
    call('PEXPIRE', key, TRACE)
  end
  return nil
end

-- Puts a job off that is in line: no attempt is spent. It is back within seconds, but those of a client with many that
-- wait not all at once: some 16 of them a second are enough to find a place that is free.
local function put_off(j, least, why, is_popped)
  local crowd = math.max(1, tonumber(call('HGET', K.load, j.own) or '0') / 32)
  local blur = (tonumber(string.sub(j.id, 1, 6), 16) + MICROS) % 2000
  call('HINCRBY', K.count, 'deferred:' .. why, 1)
  move(j, S.waiting, { due = NOW + least + (1000 + blur) * crowd, popped = is_popped })
end

-- Job `j` failed, its site is to blame, and asked to be left alone for `asked` ms.
-- Returns nil | ms for which this opens the breaker
local function blame(j, kind, asked)
  if not j.via then return nil end
  local key, till = breaker(j.via), tonumber(call('ZSCORE', K.shut, j.via))
  local v = call('HMGET', key, 'kind', 'n', 'jobs', 'opened')
  local n, jobs, opened = 0, '', tonumber(v[4] or '0')
  if v[1] == kind then n, jobs = tonumber(v[2]), v[3] end
  n = n + 1
  local id = string.sub(j.id, 1, 8)
  if #jobs < 8 * JOBS and not string.find(jobs, id, 1, true) then jobs = jobs .. id end

  local opens = till and NOW >= till or not till and n >= FAILURES and #jobs >= 8 * JOBS
  if opens then
    till = NOW + math.min(LONGEST, FIRST * 2 ^ opened)
    opened = opened + 1
  end
  call('HSET', key, 'kind', kind, 'n', n, 'jobs', jobs, 'opened', opened)
  if not till then
    call('PEXPIRE', key, ROW)
    return nil
  end
  till = math.max(till, NOW + asked)
  call('ZADD', K.shut, int(till), j.via)
  call('PEXPIRE', key, int(till - NOW + TRACE))
  return opens and till - NOW or nil
end

-- Job `j` has its result. Returns whether this closes the breaker.
local function clear(j)
  if not j.via then return false end
  call('DEL', breaker(j.via))
  return call('ZREM', K.shut, j.via) == 1
end
