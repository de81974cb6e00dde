-- algorithms.gcra, run inside Redis.
--
-- state   the theoretical arrival time, us since the epoch, as a decimal integer
-- p1, p2  emission interval and the time to pay a whole burst back, both in us
--
-- In here the state is the debt: how far the arrival time is ahead of now.

local function report(debt, interval, tolerance)
  local room = tolerance - debt
  local over = room % interval
  return (room - over) / interval, debt > 0 and interval - over or 0, debt
end

local function read(name, _, tolerance, text)
  if text == nil then text = load(name) end
  local debt = (tonumber(text) or now) - now
  if debt > tolerance then return tolerance, true end
  return debt > 0 and debt or 0, false -- also what is not a number
end

local function wait(debt, cost, interval, tolerance)
  local claim = cost * interval
  if claim > tolerance then return NEVER end
  return cost > 0 and debt + claim > tolerance and debt + claim - tolerance or 0
end

local function repair(name, debt, reset)
  store(name, ("%d"):format(now + debt), reset)
end

local function charge(name, debt, cost, times, interval)
  local claim = cost * times * interval
  -- Within the same second the TTL is long enough, and adding costs half of storing anew. It fails
  -- on what `tonumber` reads and Redis does not.
  local is_kept = debt > 0 and (now + debt) % 1000000 + claim < 1000000
  if not (is_kept and type(redis.pcall("INCRBY", name, ("%d"):format(claim))) == "number") then
    repair(name, debt + claim, debt + claim)
  end
  return debt + claim
end

return read, wait, charge, report, repair
