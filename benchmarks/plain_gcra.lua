-- The yardstick: the least a GCRA script can do that answers what the library answers. One read,
-- one write, no care for clock steps, lost TTLs or unreadable state.
--
-- `now` comes from a line that Python puts in front: ARGV[1], or the server's clock.
-- ARGV[2..4]  emission interval, time to pay a whole burst back (both in us), cost
-- returns     wait, remaining, more, reset (see model.Verdict)

local interval, tolerance, cost = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local arrival = tonumber(redis.call("GET", KEYS[1]) or now)
if arrival < now then arrival = now end
local wait = arrival + cost * interval - now - tolerance
if wait <= 0 then
  wait, arrival = 0, arrival + cost * interval
  redis.call("SET", KEYS[1], arrival, "PX", math.ceil((arrival - now) / 1000))
end
local debt = arrival - now
local over = (tolerance - debt) % interval
return { wait, (tolerance - debt - over) / interval, debt > 0 and interval - over or 0, debt }
