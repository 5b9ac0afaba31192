-- tally: what stands behind tickets, in short. Changes nothing.
-- KEYS  1 base of the shard
-- ARGV  1.. tickets
-- Returns for each of them whose job is known: its state, and if it can be fetched the size of its result and the job (else empty)
local answer = {}
for _, ticket in ipairs(ARGV) do
  local t = call('HMGET', K.ticket .. ticket, 'jid', 'st', 'ttl', 'exp')
  local j = t[1] and not t[2] and call('HMGET', K.job .. t[1], 'st', 'ft', 'del', 'obj') or {}
  local state, size, jid = t[2] or j[1], '', ''
  if state == S.completed then
    local till = math.min(tonumber(t[4] or j[2] + t[3]), tonumber(j[3] or math.huge))
    if till <= NOW then
      state = S.expired
    else
      size, jid = string.match(j[4] or '', '^%+(%d+):') or '0', t[1]
    end
  end
  if state then
    for _, value in ipairs({ state, size, jid }) do answer[#answer + 1] = value end
  end
end
return answer
