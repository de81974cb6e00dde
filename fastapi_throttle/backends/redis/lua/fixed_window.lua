-- algorithms.fixed_window, run inside Redis.
--
-- state   "number:used", decimal: which window since the epoch, units used in it
-- p1, p2  limit in quota units, window in us
--
-- In here the state is what was used in the current window.

local function read(name, _, window, text)
  if text == nil then text = load(name) end
  local current = (now - now % window) / window
  local number, used = string.match(text or "", "^(%d+):(%d+)$")
  number, used = tonumber(number) or 0, tonumber(used) or 0
  return number < current and 0 or used, number > current
end

local function wait(used, cost, limit, window)
  if cost > limit then return NEVER end
  return cost > 0 and used + cost > limit and window - now % window or 0
end

-- Both numbers have fewer than 14 digits, so `..` writes them exactly.
local function repair(name, used, _, window)
  local passed = now % window
  store(name, (now - passed) / window .. ":" .. used, window - passed)
end

local function charge(name, used, cost, times, _, window)
  used = used + cost * times
  repair(name, used, nil, window)
  return used
end

local function report(used, limit, window)
  local reset = used > 0 and window - now % window or 0
  return used < limit and limit - used or 0, reset, reset
end

return read, wait, charge, report, repair
