-- tending: what time does to jobs. Delays end, leases run out, jobs outlive their time. A part of other scripts.
-- Returns {promoted, reaped, expired, 1 if there may be more of any, jobs of the told kind that have failed}
local BATCH = 100

-- Delays that are over. A retried job goes before its client's other jobs.
local function promote()
  local due = call('ZRANGEBYSCORE', K.delay, '-inf', int(NOW), 'LIMIT', 0, BATCH)
  for _, jid in ipairs(due) do
    local j = load(jid)
    if j and may(MAY.promote, j.st) then move(j, S.queued, { head = true }) else call('ZREM', K.delay, jid) end
  end
  return #due
end

-- Leases that ran out. Their workers are gone or cut off: the job is tried again, but one that has taken down
-- worker after worker ends. The fence stays, so that an owner who was only slow may come back.
local function reap(with)
  -- When nobody has looked for most of a lease, Redis was away, or everybody was: that says nothing of the workers,
  -- and they have the time of another lease to come back. Not again right after, or a lone worker that looks
  -- seldom would keep the dead alive for ever.
  local till = tonumber(call('GET', K.amnesty) or '0')
  if till == 0 and with.unseen > with.lease * 2 / 3 then
    till = NOW + with.lease
    call('SET', K.amnesty, int(till), 'PX', int(3 * with.lease))
  end
  if NOW < till then return 0, 0 end

  local late, failed = call('ZRANGEBYSCORE', K.lease, '-inf', int(NOW), 'LIMIT', 0, BATCH), 0
  for _, jid in ipairs(late) do
    local j = load(jid)
    if j and may(MAY.reap, j.st) then
      call('HINCRBY', K.count, 'reaped', 1)
      local crash = call('HINCRBY', K.job .. jid, 'crash', 1)
      call('HSET', K.job .. jid, 'err', with.lost)
      j.code = CODE.lost
      if j.cx then
        move(j, S.cancelled)
      elseif crash >= with.poison then
        move(j, S.failed)
        if j.kind == with.told then failed = failed + 1 end
      else
        unspend(j) -- a lost worker is not a failed attempt
        move(j, S.waiting, { due = NOW + math.min(60000, 500 * 2 ^ crash) })
      end
    else
      call('ZREM', K.lease, jid)
    end
  end
  return #late, failed
end

-- Jobs that outlived their time unfinished. Their fence rises, so that no worker ends them otherwise.
local function expire()
  local old = call('ZRANGEBYSCORE', K.live, '-inf', int(NOW), 'LIMIT', 0, BATCH)
  for _, jid in ipairs(old) do
    local j = load(jid)
    if j and may(MAY.expire, j.st) then
      raise_fence(j)
      move(j, j.cx and S.cancelled or S.expired)
    else
      call('ZREM', K.live, jid)
    end
  end
  return #old
end

-- Looks after all of it, and forgets openings that are long over, unless somebody has within `every` ms.
--   lease: its length in ms   poison: lost leases after which a job has failed   lost: that failure
--   told: the kind of jobs whose failures are told
local function tend(every, lease, poison, lost, told)
  local unseen = NOW - tonumber(call('GET', K.tended) or int(NOW - every))
  -- a look in the future is none: the clock has been set back, or belongs to another server
  if math.abs(unseen) < tonumber(every) then return { 0, 0, 0, 0, 0 } end
  call('SET', K.tended, int(NOW))
  call('ZREMRANGEBYSCORE', K.shut, '-inf', int(NOW - TRACE))
  local with = { unseen = unseen, lease = tonumber(lease), poison = tonumber(poison), lost = lost, told = told }
  local promoted = promote()
  local reaped, failed = reap(with)
  local expired = expire()
  local is_all = math.max(promoted, reaped, expired) < BATCH
  return { promoted, reaped, expired, is_all and 0 or 1, failed }
end
