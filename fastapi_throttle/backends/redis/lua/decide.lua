-- algorithms.decide, run inside Redis: groups of claims, each group all or nothing.
--
-- KEYS     one per claim, group after group; in a run, groups of one claim have different keys
-- ARGV[1]  now, us since the epoch; "" = server clock
-- then per run of groups that one rule decides:
--          the rule: a byte, 1 = only tell what would be decided (peek), 0 = charge; then per claim
--            of a group 25 bytes: algorithm code, cost in quota units, and the algorithm's p1, p2
--          two bytes per group: how many times it is asked for, one after the other
-- returns  one string, per claim four integers, wait, remaining, more, reset (see model.Verdict);
--          for one asked several times nine: how many times it is admitted, the four of the last
--          time that is, the four of the times that are not
--
-- All numbers in strings are big endian, 8 bytes where nothing else is said.

local replies = {}

-- The functions of one algorithm, made once for all claims in a row that it decides.
local made, read, wait, charge, report, repair

-- Look at a claim, then at those left after it in its group; then, knowing how many times all of
-- them fit, charge or report it. Returns how many times that is, and the state. What one claim
-- needs in between stays on the stack.
local function decide(rule, at, key, left, times, fits, ready, code, cost, p1, p2)
  if code ~= made then made, read, wait, charge, report, repair = code, make(code) end
  local read, wait, charge, report, repair = read, wait, charge, report, repair
  local name, charges = KEYS[key], cost > 0 and rule:byte(1) == 0

  local state, is_ahead = read(name, p1, p2, ready)
  local delay = wait(state, cost, p1, p2)
  if delay ~= 0 then
    fits = 0
  elseif fits > 1 and cost > 0 then
    local room = report(state, p1, p2)
    fits = math.min(fits, (room - room % cost) / cost)
  end
  if left > 0 then
    fits = decide(rule, at + 25, key + 1, left - 1, times, fits, nil,
                  struct.unpack(">c1I8I8I8", rule, at + 25))
  end

  if fits > 0 and charges then state, is_ahead = charge(name, state, cost, fits, p1, p2), false end
  local remaining, more, reset = report(state, p1, p2)
  -- A refusal writes only to repair: a clock step, or a TTL that somebody took away.
  if fits < times and charges then
    if is_ahead then
      repair(name, state, reset, p2)
    elseif redis.call("PTTL", name) == -1 then
      keep(name, reset + p2 / 60)
    end
  end
  if times == 1 then
    replies[key] = struct.pack(">I8I8I8I8", delay, remaining, more, reset)
  else
    if fits > 0 then delay = wait(state, cost, p1, p2) end
    replies[key] = struct.pack(">I8I8I8I8I8I8I8I8I8", fits, 0, remaining, more, reset,
                               delay, remaining, more, reset)
  end
  return fits, state
end

local key = 1
for argument = 2, #ARGV, 2 do
  local rule, asked = ARGV[argument], ARGV[argument + 1]
  local claims = (#rule - 1) / 25
  local code, cost, p1, p2 = struct.unpack(">c1I8I8I8", rule, 2)
  -- Groups of one claim have nothing in common: their states are read at once, unless they are
  -- logs, which are too long; a log that has served one serves the next.
  local texts, ready
  if claims == 1 and #asked > 2 and code ~= "s" then
    texts = redis.call("MGET", unpack(KEYS, key, key + #asked / 2 - 1))
  end
  for at = 1, #asked, 2 do
    local times = struct.unpack(">I2", asked, at)
    if texts then ready = texts[(at + 1) / 2] end
    local _, state = decide(rule, 2, key, claims - 1, times, times, ready, code, cost, p1, p2)
    ready = claims == 1 and state or nil
    key = key + claims
  end
end
return table.concat(replies)
