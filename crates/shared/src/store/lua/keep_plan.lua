-- keep_plan: keep what an order would fetch, under the word of all plans of its address, or under a new one.
-- Called twice, it is kept once.
-- KEYS  1 plan   2 word of the plans of its address, of the same hash tag
-- ARGV  1 a new word   2 entry   3 its life in ms
-- Returns 1

local word = redis.call('GET', KEYS[2]) or ARGV[1]
redis.call('SET', KEYS[2], word, 'PX', math.max(redis.call('PTTL', KEYS[2]), tonumber(ARGV[3])))
redis.call('SET', KEYS[1], word .. ARGV[2], 'PX', ARGV[3])
return 1
