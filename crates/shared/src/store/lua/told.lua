-- told: what became of one attempt to tell an end. Only whoever was given it last is heard. With the same fence the answer is the
-- same. It is given up with the first attempt in vain that ends when its time is over: so whoever comes back before that is told,
-- however long the last pause is.
-- KEYS  1 base of the shard
-- ARGV  1 ticket   2 fence   3 "yes": it is told, "no": not this time, "never": nor any other   4 ms until the next attempt
--       5 the attempt, as it is remembered
-- Returns "delivered" | "pending" | "given_up" | "stale": somebody else has it, or it is told no more
local REMEMBERED = 32
local key, ticket, what = K.hook .. ARGV[1], ARGV[1], ARGV[3]
local before = said(key, ARGV[2])
if before then return before end
local h = call('HMGET', key, 'fence', 'till')
if h[1] ~= ARGV[2] then return 'stale' end

call('HDEL', key, 'fence', 'off')
call('HINCRBY', key, 'n', 1)
note(K.tries .. ticket, ARGV[5], REMEMBERED)
call('PEXPIRE', K.tries .. ticket, call('PTTL', key))
local word = 'pending'
if what == 'yes' then
  word = 'delivered'
elseif what == 'never' or NOW >= tonumber(h[2]) then
  word = 'given_up'
end
if word == 'pending' then
  call('ZADD', K.untold, int(NOW + ARGV[4]), ticket)
else
  call('HSET', key, 'st', word)
  call('ZREM', K.untold, ticket)
end
return say(key, ARGV[2], word)
