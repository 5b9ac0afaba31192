-- trial: what is known of a trial of the newest yt-dlp, for who takes the turn of looking at it, or only wants to know.
-- Called twice, the second finds that the turn is taken.
-- KEYS  1 base of the shard
-- ARGV  1 ms between two turns (0: whoever calls takes none, and changes nothing)
-- Returns {} (somebody else has had the turn) | {{now, settled version ("": none), ms for which none was seen on trial beside others, the
--         newest that there was}, what it consists of, its verdicts, its counts}: of each hash field and value in turn
if ARGV[1] ~= '0' and not call('SET', K.looked, 1, 'NX', 'PX', ARGV[1]) then return {} end
local function all(hash) return call('HGETALL', hash) end
local since, newest = string.match(call('GET', K.apart) or int(NOW) .. ' ', '^(%d+) (.*)$')
local about = { int(NOW), call('GET', K.settled) or '', int(math.max(0, NOW - since)), newest }
return { about, all(K.trial), all(K.rulings), all(K.tried) }
