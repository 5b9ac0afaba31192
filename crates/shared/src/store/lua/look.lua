-- look: a job as the holder of one ticket sees it. Changes nothing.
-- KEYS  1 base of the shard
-- ARGV  1 ticket
-- Returns {} | view
return view(ARGV[1]) or {}
