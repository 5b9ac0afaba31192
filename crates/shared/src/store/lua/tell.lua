-- tell: ends that somebody is to be told of now, for the worker that does it. Nobody else gets them for a while: should the
-- worker die, they were perhaps told, and are told again.
-- KEYS  1 base of the shard
-- ARGV  1 how many at most   2 ms to hide them   3 ms to put off those that this worker can't tell now, the first time
--       4.. each of these: ticket, fence
-- Called twice, what the first call gave stays hidden until that is over, and what was given back counts as put off once.
-- Returns {now, ms until the next is due (-1: none is), then for each: ticket, view, message, what links begin with, end, ms at
--         which it came, attempts in vain, fence, what it is signed with (empty: nothing)}
for i = 4, #ARGV, 2 do
  if call('HGET', K.hook .. ARGV[i], 'fence') == ARGV[i + 1] then
    -- twice as long each time: a receiver that takes none for hours is not to have all of them looked at all the while
    local times = call('HINCRBY', K.hook .. ARGV[i], 'off', 1)
    local pause = ARGV[3] * 2 ^ math.min(times - 1, 5)
    call('ZADD', K.untold, 'XX', int(NOW + pause + (MICROS + 37 * i) % 2000), ARGV[i]) -- blurred
    call('HDEL', K.hook .. ARGV[i], 'fence') -- it is nobody's, also if this call comes again
  end
end

local taken = {}
local function take(ticket)
  local key = K.hook .. ticket
  local h = call('HMGET', key, 'id', 'base', 'end', 'at', 'n')
  local shown = h[3] and view(ticket)
  if not shown then
    call('ZREM', K.untold, ticket) -- its record is gone, and with it what could be told
  else
    local fence, client = int(MICROS), call('HGET', K.ticket .. ticket, 'cl')
    call('HSET', key, 'fence', fence)
    call('ZADD', K.untold, int(NOW + ARGV[2]), ticket)
    local secrets = call('HGET', K.secrets, client) or call('HGET', K.secrets, '-') or ''
    for _, value in ipairs({ ticket, shown, h[1], h[2], h[3], h[4], h[5], fence, secrets }) do
      taken[#taken + 1] = value
    end
  end
end
for _, ticket in ipairs(call('ZRANGEBYSCORE', K.untold, '-inf', int(NOW), 'LIMIT', 0, ARGV[1])) do take(ticket) end

local first = call('ZRANGE', K.untold, 0, 0, 'WITHSCORES')[2]
if not first or tonumber(first) > NOW then
  call('DEL', K.wake .. 'untold') -- nobody needs to come for what is not there
elseif #taken > 0 and call('EXISTS', K.wake .. 'untold') == 0 then
  wake('untold') -- more is due than one worker took
end
local answer = { int(NOW), first and int(math.max(0, first - NOW)) or '-1' }
for _, value in ipairs(taken) do answer[#answer + 1] = value end
return answer
