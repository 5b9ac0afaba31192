-- rank: what lists are sorted by, without the rest of a view. Changes nothing.
-- KEYS  1 base of the shard
-- ARGV  1 "size" | "duration" | "downloads" | "rating"   2.. tickets
-- Returns for each ticket its value, "" (it has none: it has no result, or nobody rated it) | nil (there is no such ticket)
local by, values = ARGV[1], {}
for i = 2, #ARGV do
  local t = call('HMGET', K.ticket .. ARGV[i], 'jid', 'st', 'rat', 'got')
  local j = t[1] and not t[2] and call('HMGET', K.job .. t[1], 'st', 'obj', 'len') or {}
  local value = (j[1] or t[2]) and ''
  if j[1] == S.completed then
    if by == 'size' then value = string.match(j[2] or '', '^%+(%d+):') or ''
    elseif by == 'duration' then value = j[3] or ''
    elseif by == 'rating' then value = t[3] or ''
    else value = t[4] or '0' end
  end
  values[i - 1] = value or false
end
return values
