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

local function check(name, cost, interval, tolerance)
  local debt = (tonumber(load(name)) or now) - now
  local moved = debt > tolerance
  if moved then
    debt = tolerance
  elseif not (debt > 0) then -- also what is not a number
    debt = 0
  end
  local claim = cost * interval
  local wait = debt + claim - tolerance
  if claim > tolerance then
    wait = NEVER
  elseif cost == 0 or wait < 0 then
    wait = 0
  end
  return wait, debt, moved
end

local function repair(name, debt, reset)
  store(name, ("%d"):format(now + debt), reset)
end

local function charge(name, debt, cost, interval, tolerance)
  debt = debt + cost * interval
  repair(name, debt, debt)
  return report(debt, interval, tolerance)
end

return check, charge, report, repair
