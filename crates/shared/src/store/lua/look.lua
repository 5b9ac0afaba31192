-- look: jobs as the holders of tickets see them. Changes nothing.
-- KEYS  1 base of the shard
-- ARGV  1.. tickets
-- Returns {now, {for each ticket: view, or nil}}
local seen = {}
for i, ticket in ipairs(ARGV) do seen[i] = view(ticket) or false end
return { int(NOW), seen }
