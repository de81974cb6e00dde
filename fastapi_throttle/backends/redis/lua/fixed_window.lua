-- algorithms.fixed_window, run inside Redis.
--
-- state   "number:used", decimal: which window since the epoch, units used in it
-- p1, p2  limit in quota units, window in us
--
-- In here the state is what was used in the current window.

local function check(name, cost, limit, window)
  local current = (now - now % window) / window
  local number, used = string.match(load(name) or "", "^(%d+):(%d+)$")
  number, used = tonumber(number) or 0, tonumber(used) or 0
  if number < current then used = 0 end
  local wait = 0
  if cost > limit then
    wait = NEVER
  elseif cost > 0 and used + cost > limit then
    wait = window - now % window
  end
  return wait, used, number > current
end

-- Both numbers have fewer than 14 digits, so `..` writes them exactly.
local function repair(name, used, _, window)
  local passed = now % window
  store(name, (now - passed) / window .. ":" .. used, window - passed)
end

local function charge(name, used, cost, limit, window)
  repair(name, used + cost, nil, window)
  local reset = window - now % window
  return limit - used - cost, reset, reset
end

local function report(used, limit, window)
  local reset = used > 0 and window - now % window or 0
  return used < limit and limit - used or 0, reset, reset
end

return check, charge, report, repair
