-- trials: which jobs a worker leaves to those with another yt-dlp while the newest one is on trial, and how first attempts end
-- with each. A part of other scripts. Why so: docs/decisions/0051-a-new-yt-dlp-is-on-trial.md.
-- Workers with the newest are the candidate's, all live ones with another are the others.
--   K.trial    new: the newest   till: ms until which that is known   share: percent of a site's jobs that it is to have
--              both: regions that both sides serve, a space before and after each   all: verdict on sites without their own
--              since, met: ms since which it is on trial, and at which workers of both sides were last known to live
--   K.rulings  site -> verdict, and the counts that it was made of
--   K.tried    site -> eight numbers, of first attempts: at downloads, begun by the candidate, by the others; at other jobs likewise;
--              at downloads, ended well and badly, of the candidate, of the others
-- Returns nothing by itself; what each function returns stands with it.
local SITES = 1000 -- that are counted apart; all further ones together
local KEPT = 604800000 -- ms after its last word for which a trial is remembered
local SHORTLY = 5000 -- ms in line for which a job is left to others for the sake of a share, or of an attempt that failed
local LONG, LOOKED_FOR = 300000, 20000 -- the same for the sake of a verdict; and where somebody waits for what is found

-- The trial, if there is one. Looked for once a call.
local trial
local function on_trial()
  if trial == nil then
    local v = call('HMGET', K.trial, 'new', 'till', 'share', 'both', 'all')
    trial = v[1] and NOW < tonumber(v[2]) and { new = v[1], share = v[3] / 100, both = v[4], all = v[5] } or false
  end
  return trial
end

-- What the site of a job is counted under.
local function counted(j)
  local site = j.site or '-' -- none: an older version took it in
  if call('HEXISTS', K.tried, site) == 1 or call('HLEN', K.tried) < SITES then return site end
  return '-'
end

local function tally(site)
  local counts = {}
  for n in string.gmatch(call('HGET', K.tried, site) or '0 0 0 0 0 0 0 0', '%d+') do counts[#counts + 1] = tonumber(n) end
  return counts
end

local function add(site, nth)
  local counts = tally(site)
  counts[nth] = counts[nth] + 1
  call('HSET', K.tried, site, table.concat(counts, ' '))
  call('PEXPIRE', K.tried, KEPT)
end

-- Where in a tally it stands how many jobs of this kind the candidate was the first to begin; those of the others are next.
local function begun(j) return j.kind == KIND.download and 1 or 3 end

-- May the candidate have the next job of this site? Its turns are evenly spaced in the row of them, and where the first one
-- lies differs from site to site: also sites with one job a day are tried, and as often as is their share.
local function is_its_turn(t, j)
  local site = counted(j)
  local counts, nth = tally(site), begun(j)
  local phase = tonumber(string.sub(redis.sha1hex(t.new .. ' ' .. site), 1, 6), 16) / 16777216
  return t.share * (counts[nth] + counts[nth + 1] + 1) + phase >= counts[nth] + 1
end

-- ms for which a worker with this yt-dlp leaves job `j`, which is in line, to those with another one; nil: it does not. Only
-- where some live that serve its region, and never for longer than `most` after it came into line: they may be busy.
local function leaves(j, version)
  local t = on_trial()
  if not t or not string.find(t.both, ' ' .. string.match(j.lane, ':(.-):') .. ' ', 1, true) then return nil end
  local verdict = string.match(call('HGET', K.rulings, j.site or '-') or t.all, '^%S+')
  local long = j.kind == KIND.download and LONG or LOOKED_FOR
  local is_new, most = version == t.new, nil
  if verdict == (is_new and VERDICT.rolled_back or VERDICT.preferred) then
    most = long
  elseif verdict == VERDICT.rolled_back then
    return nil -- nobody else is better
  elseif j.shy == version then
    most = SHORTLY -- the other side shall try what failed here
  elseif is_new and verdict == VERDICT.undecided and not j.shy and not is_its_turn(t, j) then
    most = SHORTLY
  end
  local left = most and most - (NOW - (call('ZSCORE', K.queued .. j.lane, j.id) or NOW))
  return left and left > 0 and left or nil
end

-- A worker with this yt-dlp begins an attempt at job `j`. The first ones are shared out: the next go to whom the first failed.
local function begins(j, version)
  local t = on_trial()
  if t and j.att == 1 then add(counted(j), begun(j) + (version == t.new and 0 or 1)) end
end

-- The `nth` attempt at job `j` ended, well or for a reason that speaks of yt-dlp. Only the first attempt at a download counts:
-- a medium that nobody can fetch speaks once, and to which side it comes is no matter of what it is.
-- Returns the version that ended it, if there is a trial.
local function ends(j, nth, is_well)
  local t = on_trial()
  local version = t and string.match(j.yt or '', '^' .. int(nth) .. ' (.*)$')
  if not version or j.kind ~= KIND.download then return version end
  if nth == 1 then add(counted(j), 5 + (version == t.new and 0 or 2) + (is_well and 0 or 1)) end
  return version
end
