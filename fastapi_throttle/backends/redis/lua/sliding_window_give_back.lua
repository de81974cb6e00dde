-- Entries that are no older become one, as young as the newest of them.
local function give_back(name, log, cost, age, _, window)
  local index = log and log.count + 1 or 0
  while index > 0 and entry(log, index - 1) <= age do index = index - 1 end
  if not log or index > log.count then return end
  local _, sum = entry(log, index)
  local since = (log.base + log.used - sum) % 2 ^ 32
  local left, newest = math.max(since - cost, 0), log.newest
  if left == 0 then
    if index == 0 then
      redis.call("DEL", name)
      return
    end
    index = index - 1
    newest, sum = entry(log, index)
    left = (log.base + log.used - since - sum) % 2 ^ 32
    log.used = log.used - since
  else
    log.used = log.used - since + left
  end
  if index < log.count then
    log.opened = index > 0 and entry(log, index - 1) or newest + window
    log.count = index
  end
  log.newest, log.units = newest, left
  if index == 0 then log.first = newest end
  redis.call("SETRANGE", name, "0", pack_head(log))
end
