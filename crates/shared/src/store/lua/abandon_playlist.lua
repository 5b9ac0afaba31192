-- abandon_playlist: a playlist of which something was refused is not to be, unless all of it was queued meanwhile by somebody who
-- promised the same. Called twice it answers the same.
-- KEYS  1 base of the shard
-- ARGV  1 ticket   2 plan that it was opened with
-- Returns 1: all of it is queued, nothing was done | 0: there is none of this plan any more
local key = K.playlist .. ARGV[1]
local t = call('HMGET', key, 'plan', 'all')
if t[2] then return 1 end
if t[1] == ARGV[2] then call('DEL', key) end
return 0
