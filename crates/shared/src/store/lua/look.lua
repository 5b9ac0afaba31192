-- look: jobs as the holders of tickets see them. Changes nothing.
-- KEYS  1 base of the shard
-- ARGV  1.. tickets
-- Returns {now, {for each ticket: nil | {view, what the first version that changes with it is called, as it is now, the
--         second, as it is now}}}
local seen, asked = {}, {}
for i, ticket in ipairs(ARGV) do
  local packed, one, other = view(ticket)
  seen[i] = packed and { packed, one, 0, other, 0 } or false
  for _, version in ipairs(packed and { one, other } or {}) do
    for _, word in ipairs({ 'GET', 'u32', '#' .. version }) do asked[#asked + 1] = word end
  end
end
if #asked > 0 then
  local versions, next_one = call('BITFIELD_RO', K.versions, unpack(asked)), 1
  for _, one in ipairs(seen) do
    if one then
      one[3], one[5] = versions[next_one], versions[next_one + 1]
      next_one = next_one + 2
    end
  end
end
return { int(NOW), seen }
