-- algorithms.sliding_window, run inside Redis.
--
-- state   a string, big endian, that is read and changed in place:
--           opened 6, base 4, first 6, used 4, newest 6, units 4, size 2, head 2, count 2
--           then `size` slots of time 6, sum 4: a ring, oldest at `head`, `count` of them in use
--         The newest entry of the log is (newest, units), opened at `opened`; the older ones are
--         the slots. `sum` runs over the units of all entries up to and including this one, modulo
--         2^32; `base` is the sum before the oldest, whose time is `first`; `used` is the log's.
-- p1, p2  limit in quota units, window in us
--
-- Times are us since the epoch modulo 2^48. In here they are ages: us before now. 2^48 us are nine
-- years, so the modulo hides nothing; an age in the upper half of the range lies in the future.
-- Sums that only grow let the two questions, who is over and who leaves when, be answered by halving.

local call, pack, unpack = redis.call, struct.pack, struct.unpack
local HEAD, HEAD_FORMAT = 36, ">I6I4I6I4I6I4I2I2I2"
local SLOT, SLOT_FORMAT, GROWTH = 10, ">I6I4", 16
local WRAP, FUTURE, SUM = 2 ^ 48, 2 ^ 47, 2 ^ 32

local function pack_head(log)
  return pack(HEAD_FORMAT, (now - log.opened) % WRAP, log.base, (now - log.first) % WRAP, log.used,
              (now - log.newest) % WRAP, log.units, log.size, log.head, log.count)
end

-- The age and the sum of the entry that is `index` after the oldest.
local function entry(log, index)
  if index == log.count then return log.newest, (log.base + log.used) % SUM end
  local at = HEAD + (log.head + index) % log.size * SLOT
  local slot = call("GETRANGE", log.name, at, at + SLOT - 1)
  if #slot < SLOT then return FUTURE - 1, log.base end -- cut off by others: over, nothing used
  local time, sum = unpack(SLOT_FORMAT, slot)
  return (now - time) % WRAP, sum
end

-- The first index from `low` on for which `is_reached(age, sum)`; the newest entry's reaches it.
local function search(log, low, is_reached)
  local high = log.count
  while low < high do
    local middle = (low + high - (low + high) % 2) / 2
    if is_reached(entry(log, middle)) then high = middle else low = middle + 1 end
  end
  return low
end

-- Forget what is over: at least the oldest entry, not the newest.
local function drop(log, window)
  local index = 1
  if entry(log, 1) >= window then
    index = search(log, 2, function(age) return age < window end)
  end
  local _, base = entry(log, index - 1)
  log.used = (log.base + log.used - base) % SUM
  log.base, log.head, log.count = base, (log.head + index) % log.size, log.count - index
  log.first = entry(log, 0)
end

-- Until entries worth `excess` units, the oldest, have left.
local function leave(log, excess, window)
  local age, base = log.first, log.base
  if excess > 1 then
    age = entry(log, search(log, 0, function(_, sum) return (sum - base) % SUM >= excess end))
  end
  -- What lies in the future counts as used now.
  return age < FUTURE and window - age or window
end

local function check(name, cost, limit, window)
  local never = cost > limit and NEVER
  local text = redis.pcall("GETRANGE", name, "0", "35")
  if type(text) ~= "string" or #text < HEAD then return never or 0 end
  local opened, base, first, used, newest, units, size, head, count = unpack(HEAD_FORMAT, text)
  opened, first, newest = (now - opened) % WRAP, (now - first) % WRAP, (now - newest) % WRAP
  local is_ahead = newest >= FUTURE
  if count > size or newest >= window and not is_ahead then return never or 0 end
  if is_ahead and call("STRLEN", name) ~= HEAD + size * SLOT then return never or 0 end
  local log = { name = name, opened = opened, base = base, first = first, used = used,
                newest = newest, units = units, size = size, head = head, count = count }
  if count > 0 and first >= window and first < FUTURE then drop(log, window) end
  local excess = log.used + cost - limit
  return never or cost > 0 and excess > 0 and leave(log, excess, window) or 0, log, is_ahead
end

local function report(log, limit, window)
  if not log then return limit, 0, 0 end
  local remaining = log.used < limit and limit - log.used or 0
  local more = leave(log, log.used + remaining + 1 - limit, window)
  return remaining, more, log.newest < FUTURE and window - log.newest or window
end

-- What lies in the future happened now: all slots anew, in order.
local function repair(name, log, reset)
  local slots = {}
  for index = 0, log.count - 1 do
    local age, sum = entry(log, index)
    slots[index + 1] = pack(SLOT_FORMAT, (now - (age < FUTURE and age or 0)) % WRAP, sum)
  end
  local free = string.rep("\0", (log.size - log.count) * SLOT)
  log.head, log.newest = 0, 0
  if log.opened >= FUTURE then log.opened = 0 end
  if log.first >= FUTURE then log.first = 0 end
  store(name, pack_head(log) .. table.concat(slots) .. free, reset)
end

-- Make room for more slots; all there are are in use.
local function grow(log)
  local slots, split = string.sub(call("GET", log.name), HEAD + 1), log.head * SLOT
  log.size, log.head = log.size + GROWTH, 0
  call("SET", log.name, pack_head(log) .. string.sub(slots, split + 1) .. string.sub(slots, 1, split)
                        .. string.rep("\0", GROWTH * SLOT))
end

local function charge(name, log, cost, limit, window)
  if not log then
    local time = now % WRAP
    store(name, pack(HEAD_FORMAT, time, 0, time, cost, time, cost, 0, 0, 0), window)
    return limit - cost, window, window
  end
  if log.newest >= FUTURE then repair(name, log, window) end
  if log.units * 128 < limit and log.opened < (window - window % 60) / 60 then
    log.units = log.units + cost
  else
    if log.count == log.size then grow(log) end
    local at = HEAD + (log.head + log.count) % log.size * SLOT
    local sum = (log.base + log.used) % SUM
    call("SETRANGE", name, at, pack(SLOT_FORMAT, (now - log.newest) % WRAP, sum))
    log.count, log.opened, log.units = log.count + 1, 0, cost
  end
  log.used, log.newest = log.used + cost, 0
  if log.count == 0 then log.first = 0 end
  call("SETRANGE", name, "0", pack_head(log))
  keep(name, window)
  return limit - log.used, window - log.first, window
end

return check, charge, report, repair
