-- rate: how often a client may have us do something for it, over all processes. A part of other scripts.
-- A leaky bucket (GCRA), kept as when everything that was charged will have leaked.
-- Returns nothing by itself; what each function returns stands with it.

-- `each`: µs between two (empty: no rate)   `burst`: how many at once
-- Returns when that would be with one more (nil: no rate), and if there is no room for it µs to wait
local function fill(client, each, burst)
  if each == '' then return nil end
  local full = math.max(MICROS, tonumber(call('GET', K.rate .. client) or '0')) + each
  local wait = full - each * burst - MICROS
  return full, wait > 0 and wait or nil
end

-- Keeps what `fill` returned.
local function charge(client, full)
  if full then call('SET', K.rate .. client, int(full), 'PX', int(math.ceil((full - MICROS) / 1000))) end
end
