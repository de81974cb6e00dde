-- Starts the script: one clock, read once, for all it decides, and how state is kept. The
-- algorithms follow as `make(code)`, which returns the five functions of one of them.
-- `name` is the key; wait, remaining, more and reset are those of model.Verdict.
--
-- read(name, p1, p2, ready)                 returns the state as the others take it, and whether a
--                                           clock step had left it in the future; writes nothing.
--                                           `ready` spares it work: the text, if that was read
--                                           before; else a state that nobody needs any more; nil
-- wait(state, cost, p1, p2)                 returns wait
-- charge(name, state, cost, times, p1, p2)  stores the state with `cost` used so many times, which
--                                           must fit; returns that state
-- report(state, p1, p2)                     returns remaining, more, reset
-- repair(name, state, reset, p2)            stores the state as it is, taken out of the future
--
-- What cannot be read, for its type or its content, counts as unused; storing replaces it.
--
-- All of this is made anew for every call. So mind that a local of the script that functions use
-- costs more than a literal or a look-up in `redis`, and that a number is a cheaper argument of a
-- command once ("%d") has formatted it.

local NEVER = -1
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call("TIME")
  now = time[1] * 1000000 + time[2]
end

local function load(name)
  local text = redis.pcall("GET", name)
  return type(text) == "string" and text or nil
end

-- The TTL only frees memory, up to a second later than it could: the state says what is over.
local function store(name, text, reset)
  redis.call("SET", name, text, "PX", ("%d"):format(1001 + (reset - reset % 1000) / 1000))
end

local function keep(name, reset)
  redis.call("PEXPIRE", name, ("%d"):format(1001 + (reset - reset % 1000) / 1000))
end
