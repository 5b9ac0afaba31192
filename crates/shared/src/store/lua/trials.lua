-- trials: which jobs a worker leaves to those with another yt-dlp while the newest one is on trial, and how first attempts end
-- with each. A part of other scripts. Why so: docs/decisions/0051-a-new-yt-dlp-is-on-trial.md.
-- Workers with the newest are the candidate's, all live ones with another are the others.
--   K.trial    new: the newest   till: ms until which that is known   share: percent of a site's jobs that it is to have at most
--              both: regions that both sides serve, a space before and after each   all: verdict on sites without their own
--              since: ms since which it is on trial   aside: versions that were on trial before it, with spaces as `both`
--              sure: regions with a version that never was, likewise
--   K.rulings  site -> verdict, and the counts that it was made of
--   K.decided  the same of a version that was on trial before; `*` for sites without their own
--   K.tried    site -> eight numbers, of first attempts: at downloads, begun by the candidate, by the others; at other jobs likewise;
--              at downloads, ended well and badly, of the candidate, of the others; and the microsecond since which they are counted;
--              once a result has told, also the extractor of yt-dlp's that the site has to itself
-- Returns nothing by itself; what each function returns stands with it.
local SITES = 1000 -- that are counted
local KEPT = 604800000 -- ms after its last word for which a trial is remembered
local SHORTLY = 5000 -- ms for which a job is left to others for the sake of a share, or of an attempt that failed
local LONG, LOOKED_FOR = 300000, 20000 -- the same for the sake of a verdict; and where somebody waits for what is found

-- The trial, if there is one. Looked for once a call.
local trial
local function on_trial()
  if trial == nil then
    local v = call('HMGET', K.trial, 'new', 'till', 'share', 'both', 'all', 'aside', 'sure')
    trial = v[1] and NOW < tonumber(v[2]) and
      { new = v[1], share = v[3] / 100, both = v[4], all = v[5], aside = v[6] or '', sure = v[7] or '' } or false
  end
  return trial
end

-- Is the region of job `j` one of these, as `both` has them?
local function serve(regions, j) return string.find(regions, ' ' .. string.match(j.lane, ':(.-):') .. ' ', 1, true) ~= nil end

-- The trial, if both sides serve the region of job `j`: elsewhere nothing is compared, and nothing left for that.
local function trial_of(j)
  local t = on_trial()
  return t and serve(t.both, j) and t or nil
end

-- What the site of a job is counted under.
local function counted(j) return j.site or '-' end -- none: an older version took it in

-- Nine numbers, and perhaps an extractor; nil: nothing is counted of this site.
local function tally(site)
  local text = call('HGET', K.tried, site)
  if not text then return nil end
  local counts = {}
  for word in string.gmatch(text, '%S+') do counts[#counts + 1] = #counts < 9 and tonumber(word) or word end
  return #counts >= 9 and counts or nil
end

local function add(site, counts, nth)
  counts[nth] = counts[nth] + 1
  local since = int(counts[9])
  call('HSET', K.tried, site, table.concat(counts, ' ', 1, 8) .. ' ' .. since .. (counts[10] and ' ' .. counts[10] or ''))
  call('PEXPIRE', K.tried, KEPT)
end

-- Makes room for one more site: of some that are counted the least one goes, so that many that hardly anybody asks for keep
-- none from being judged that many do.
local function make_room()
  if call('HLEN', K.tried) < SITES then return end
  local some, least, site = call('HRANDFIELD', K.tried, 16, 'WITHVALUES'), math.huge, nil
  for i = 1, #some, 2 do
    local n = tonumber(string.match(some[i + 1], '^%d+')) + tonumber(string.match(some[i + 1], ' (%d+)'))
    if n < least then least, site = n, some[i] end
  end
  call('HDEL', K.tried, site)
end

-- Where in a tally it stands how many jobs of this kind the candidate was the first to begin; those of the others are next.
local function begun(j) return j.kind == KIND.download and 1 or 3 end

-- May the candidate have the next job of this site? Its turns are evenly spaced in the row of them, and where the first one
-- lies differs from site to site: also sites with one job a day are tried, and as often as is their share.
local function is_its_turn(t, j)
  local site, nth = counted(j), begun(j)
  local counts = tally(site) or { 0, 0, 0, 0 }
  local phase = tonumber(string.sub(redis.sha1hex(t.new .. ' ' .. site), 1, 6), 16) / 16777216
  return t.share * (counts[nth] + counts[nth + 1] + 1) + phase >= counts[nth] + 1
end

-- Was this version found to be worse at the site of job `j` when it was on trial, before the present one?
local function was_worse(t, j, version)
  if not string.find(t.aside, ' ' .. version .. ' ', 1, true) then return false end
  local decided = K.decided .. redis.sha1hex(version)
  local ruling = call('HGET', decided, counted(j)) or call('HGET', decided, ANYBODY) or ''
  return string.match(ruling, '^%S*') == VERDICT.rolled_back
end

-- ms for which a worker with this yt-dlp leaves job `j`, which is in line, to those with another one; nil: it does not. Only
-- where some live that serve its region, and they may be busy: so never for longer than `most` after it was in line when it was
-- first left (`lf`), whatever becomes of it meanwhile. That is forgotten once, when its first attempt fails.
local function leaves(j, version)
  local t = on_trial()
  local is_both, is_sure = t and serve(t.both, j), t and serve(t.sure, j)
  if not is_both and not is_sure then return nil end
  local is_new, most = version == t.new, nil
  local verdict = string.match(call('HGET', K.rulings, counted(j)) or t.all, '^%S+')
  local is_worse
  if is_new then
    is_worse = is_both and verdict == VERDICT.rolled_back
  else -- unless those who are left have been worse there, too, or nobody knows yet
    is_worse = (is_sure or verdict == VERDICT.promoted) and was_worse(t, j, version)
  end
  if is_worse then
    most = j.kind == KIND.download and LONG or LOOKED_FOR
  elseif not is_both or verdict == VERDICT.rolled_back then
    return nil -- nobody else is better
  elseif j.shy == version then
    most = SHORTLY -- the other side shall try what failed here
  elseif is_new and verdict == VERDICT.undecided and not j.shy and not is_its_turn(t, j) then
    most = SHORTLY
  end
  if not most then return nil end
  local since = tonumber(j.lf or call('ZSCORE', K.queued .. j.lane, j.id) or NOW)
  if not j.lf then call('HSET', K.job .. j.id, 'lf', int(since)) end
  local left = most - (NOW - since)
  return left > 0 and left <= most and left or nil -- more: the clock has been set back
end

-- A worker with this yt-dlp begins an attempt at job `j`. The first ones are shared out: the next go to whom the first failed.
local function begins(j, version)
  local t = trial_of(j)
  if not t or j.att ~= 1 then return end
  local site = counted(j)
  local counts = tally(site)
  if not counts then
    make_room()
    counts = { 0, 0, 0, 0, 0, 0, 0, 0, MICROS }
  end
  add(site, counts, begun(j) + (version == t.new and 0 or 1))
end

-- The `nth` attempt at job `j` ended, well or for a reason that speaks of yt-dlp. Only the first attempt at a download counts:
-- a medium that nobody can fetch speaks once, and to which side it comes is no matter of what it is. And only one that was begun
-- since its site is counted, which its fence tells: failures come sooner than results, so those who begin more than before
-- would seem to fail more often. A result tells the extractor that its site has to itself (empty: none).
-- Returns the version that ended it, if there is a trial.
local function ends(j, nth, is_well, own)
  local t = trial_of(j)
  local version = t and string.match(j.yt or '', '^' .. int(nth) .. ' (.*)$')
  if not version or j.kind ~= KIND.download or nth ~= 1 then return version end
  local site = counted(j)
  local counts = tally(site)
  if counts and tonumber(j.tok) >= counts[9] then
    if is_well and own ~= '' then counts[10] = counts[10] or own end
    add(site, counts, 5 + (version == t.new and 0 or 2) + (is_well and 0 or 1))
  end
  return version
end
