-- lease: the next job for a worker with a free slot.
-- Clients take turns by virtual time; one that runs as much as it may is parked beside the ring until a job of its ends.
-- KEYS  those of the shard, by name in K
-- ARGV  1 worker   2 lease length in ms   3 kind whose waits are sampled   4.. lanes in order of preference
-- Returns {} | {job id, fence, attempt, max attempts, spec, ms it stood in line}
local STEPS = 64 -- stale entries and parked clients passed over in one call; a wake token calls again

for i = 4, #ARGV do
  local lane, ring = ARGV[i], K.ring .. ARGV[i]
  for step = 1, STEPS do
    local first = call('ZRANGE', ring, 0, 0, 'WITHSCORES')
    local client, vt = first[1], first[2]
    if not client then break end
    local limit, weight = string.match(call('GET', K.caps .. client) or ':1', '^(%d*):(%d+)$')
    if limit ~= '' and tonumber(call('HGET', K.run, client) or '0') >= tonumber(limit) then
      call('ZREM', ring, client)
      call('HSET', K.park .. client, lane, vt)
    else
      local jid = call('LPOP', K.list .. lane .. ':' .. client)
      local j = jid and load(jid)
      if not jid then
        -- Only now: one who submits a job at a time must not jump the line by leaving and coming back.
        call('ZREM', ring, client)
      elseif j and may('lease', j.st) then
        call('HSET', K.vt, lane, vt)
        call('ZADD', ring, tonumber(vt) + 1 / tonumber(weight), client)
        local fence = int(math.max(MICROS, tonumber(j.tok or '0') + 1))
        local since = call('ZSCORE', K.queued .. lane, jid)
        call('HSET', K.job .. jid, 'tok', fence, 'wk', ARGV[1], 'att', j.att + 1)
        call('HDEL', K.job .. jid, 'pg')
        move(j, S.running, { deadline = NOW + ARGV[2], client = client, popped = j.own == client })
        local waited = since and NOW - since or 0
        if since and j.kind == ARGV[3] then sample('wait', string.format('%.3f', waited / 1000)) end
        if call('ZCARD', ring) > 0 then wake(lane) end
        return { jid, fence, int(j.att + 1), int(j.max), call('HGET', K.job .. jid, 'spec'),
          int(waited) }
      end
    end
    if step == STEPS then wake(lane) end
  end
end
return {}
