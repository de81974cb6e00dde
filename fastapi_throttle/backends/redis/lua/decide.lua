-- algorithms.decide, run inside Redis: groups of claims, each group all or nothing.
--
-- KEYS     one per claim, group after group
-- ARGV[1]  now, us since the epoch; "" = server clock
-- ARGV[2]  1 = only tell what would be decided (peek), 0 = charge
-- then per group: the number of its claims
--      and per claim: algorithm code, cost in quota units, and the algorithm's p1, p2
-- returns  four integers per claim: wait, remaining, more, reset (see model.Verdict)

local peek = ARGV[2] == "1"
local reply = { 0, 0, 0, 0 }

-- Check a claim, then the claims left after it in its group; then, knowing whether all of them
-- are admitted, charge or report it. Returns whether all are. What one claim needs in between
-- stays on the stack.
local function decide(argument, key, left, admitted)
  local check, charge, report, repair = algorithm(ARGV[argument])
  local cost, p1 = tonumber(ARGV[argument + 1]), tonumber(ARGV[argument + 2])
  local p2 = tonumber(ARGV[argument + 3])
  local name, at = KEYS[key], key * 4

  local wait, state, is_ahead = check(name, cost, p1, p2)
  admitted = admitted and wait == 0
  if left > 0 then admitted = decide(argument + 4, key + 1, left - 1, admitted) end

  local remaining, more, reset
  if admitted and cost > 0 and not peek then
    remaining, more, reset = charge(name, state, cost, p1, p2)
  else
    remaining, more, reset = report(state, p1, p2)
    -- A refusal writes only to repair: a clock step, or a TTL that somebody took away.
    if cost > 0 and not peek then
      if is_ahead then
        repair(name, state, reset, p2)
      elseif redis.call("PTTL", name) == -1 then
        keep(name, reset + p2 / 60)
      end
    end
  end
  reply[at - 3], reply[at - 2], reply[at - 1], reply[at] = wait, remaining, more, reset
  return admitted
end

local argument, key = 3, 1
repeat
  local claims = tonumber(ARGV[argument])
  decide(argument + 1, key, claims - 1, true)
  argument, key = argument + 1 + 4 * claims, key + claims
until argument > #ARGV
return reply
