-- keep_picture: keep what became of the picture that a finding names, as long as the finding is there, and no longer.
-- Called twice, it is kept once.
-- KEYS  1 picture   2 finding, of the same hash tag
-- ARGV  1 JPEG, or nothing   2 life in ms
-- Returns 1 | 0: there is no finding, for it was forgotten, or its time is over

local left = redis.call('PTTL', KEYS[2])
if left <= 0 then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', math.min(left, tonumber(ARGV[2])))
return 1
