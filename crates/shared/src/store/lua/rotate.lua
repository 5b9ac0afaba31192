-- rotate: webhooks are signed with this from now on, those included that were ordered before. Nothing is kept where nobody has
-- ordered any.
-- KEYS  1 base of the shard
-- ARGV  1.. whose, what
-- Returns "ok"
if call('EXISTS', K.secrets) == 0 then return 'ok' end
local life, known = call('PTTL', K.secrets), {}
for i = 1, #ARGV, 2 do known[ARGV[i]] = ARGV[i + 1] end
for _, whose in ipairs(call('HKEYS', K.secrets)) do
  if not known[whose] then call('HDEL', K.secrets, whose) end
end
for whose, what in pairs(known) do call('HSET', K.secrets, whose, what) end
if life > 0 then call('PEXPIRE', K.secrets, life) end
return 'ok'
