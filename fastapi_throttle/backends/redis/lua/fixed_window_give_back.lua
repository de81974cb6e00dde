local function give_back(name, used, cost, age, _, window)
  if age > now % window then return end
  if used > cost then repair(name, used - cost, nil, window) else redis.call("DEL", name) end
end
