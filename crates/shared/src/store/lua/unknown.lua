-- unknown: does nobody know these objects? Changes nothing.
-- An object is known as long as there is a record of the job that made it, or it is noted for removal: as a result by its
-- size and name, while it is only reserved by its name.
-- KEYS  1 base of the shard
-- ARGV  for each object: job id, size, name
-- Returns for each 1 (nobody knows it) or 0
local answers = {}
for i = 1, #ARGV, 3 do
  local jid, size, object = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local is_known = call('EXISTS', K.job .. jid) == 1
    or call('ZSCORE', K.garbage, '-0:' .. object)
    or call('ZSCORE', K.garbage, '+' .. size .. ':' .. object)
  answers[#answers + 1] = is_known and 0 or 1
end
return answers
