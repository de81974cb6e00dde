-- Comes before each of the layouts.
--
-- KEYS[1]  the partition
-- ARGV     now in us ("" = server clock), limit, window in us; the cost is 1
-- returns  wait, remaining, more, reset (see model.Verdict)
--
-- Times are modulo 2^48 so that six bytes hold them: good for the nine years between two overflows.

local now, limit, window = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
if not now then
  local time = redis.call("TIME")
  now = time[1] * 1000000 + time[2]
end
now = now % 2 ^ 48

-- Whether the newest entry takes one more unit.
local function takes(opened, units)
  return opened == now or units * 128 < limit and now - opened < (window - window % 60) / 60
end
