-- algorithms.give_back, run inside Redis: take back what was charged a moment ago.
--
-- KEYS     one per claim
-- ARGV[1]  now, us since the epoch; "" = server clock
-- ARGV[2]  when it was charged, or a moment before
-- ARGV[3]  the rule by which it was charged, see decide.lua
--
-- give_back(name, state, cost, age, p1, p2) stores the state without `cost`, which was charged
-- `age` us ago or later. A TTL that is now longer than needed stays.

local age = now - ARGV[2]
for key, name in ipairs(KEYS) do
  local code, cost, p1, p2 = struct.unpack(">c1I8I8I8", ARGV[3], key * 25 - 23)
  local give_back, read = make(code)
  local state, is_ahead = read(name, p1, p2)
  if cost > 0 and age >= 0 and not is_ahead then give_back(name, state, cost, age, p1, p2) end
end
