local function give_back(name, debt, cost, age, interval)
  debt = debt - math.max(cost * interval - age, 0)
  if debt > 0 then repair(name, debt, debt) else redis.call("DEL", name) end
end
