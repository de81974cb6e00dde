-- algorithms.sliding_window, run inside Redis.
--
-- state   a string, big endian, that is read and changed in place: a head of 36 bytes
--           opened 6, base 4, first 6, used 4, newest 6, units 4, size 2, head 2, count 2
--         then `size` slots of 10 bytes, time 6, sum 4: a ring, oldest at `head`, `count` in use
--         The newest entry of the log is (newest, units), opened at `opened`; the older ones are
--         the slots. `sum` runs over the units of all entries before this one, modulo 2^32; `base`
--         is that of the oldest, whose time is `first`; `used` is the whole log's.
-- p1, p2  limit in quota units, window in us
--
-- Times are us since the epoch modulo 2^48. In here they are ages: us before now. 2^48 us are nine
-- years, so the modulo hides nothing; an age in the upper half of the range lies in the future.
-- The TTL is a sixtieth of the window longer than needed, and renewed once in that time.
-- Sums that only grow let two questions, who is over and who leaves when, be answered by halving.

local function pack_head(log)
  return struct.pack(">I6I4I6I4I6I4I2I2I2", (now - log.opened) % 2 ^ 48, log.base,
                     (now - log.first) % 2 ^ 48, log.used, (now - log.newest) % 2 ^ 48, log.units,
                     log.size, log.head, log.count)
end

-- The age of the entry that is `index` after the oldest, and the sum before it.
local function entry(log, index)
  if index == log.count then return log.newest, (log.base + log.used - log.units) % 2 ^ 32 end
  local at = 36 + (log.head + index) % log.size * 10
  local slot = redis.call("GETRANGE", log.name, ("%d"):format(at), ("%d"):format(at + 9))
  if #slot < 10 then return 2 ^ 47 - 1, log.base end -- cut off by others: over, nothing used
  local time, sum = struct.unpack(">I6I4", slot)
  return (now - time) % 2 ^ 48, sum
end

-- The first entry from `low` on that is younger than `window` and comes after at least `units` of
-- the log, with its age and sum; else the newest. It is mostly near: first double, then halve.
local function search(log, low, window, units)
  local high, step = log.count, low - 1
  local found_age, found_sum
  while low < high do
    local middle = (low + high - (low + high) % 2) / 2
    if middle > low + step then middle = low + step end
    local age, sum = entry(log, middle)
    if age < window and (sum - log.base) % 2 ^ 32 >= units then
      high, found_age, found_sum = middle, age, sum
    else
      low, step = middle + 1, 2 * step + 1
    end
  end
  if high == log.count then return high, entry(log, high) end
  return high, found_age, found_sum
end

-- Until entries worth `excess` units, the oldest, have left.
local function leave(log, excess, window)
  local age = log.first
  if excess > log.used - log.units then
    age = log.newest
  elseif excess > 1 then
    age = entry(log, search(log, 1, 2 ^ 48, excess) - 1)
  end
  -- What lies in the future counts as used now; what others wrote as if it were over, too.
  return age < window and window - age or window
end

local function read(name, _, window, log)
  local text = redis.pcall("GETRANGE", name, "0", "35")
  if type(text) ~= "string" or #text < 36 then return end
  local opened, base, first, used, newest, units, size, head, count =
    struct.unpack(">I6I4I6I4I6I4I2I2I2", text)
  opened, first, newest = (now - opened) % 2 ^ 48, (now - first) % 2 ^ 48, (now - newest) % 2 ^ 48
  local is_ahead = newest >= 2 ^ 47
  if count > size or newest >= window and not is_ahead then return end
  if is_ahead and redis.call("STRLEN", name) ~= 36 + size * 10 then return end
  if log then
    log.name, log.opened, log.base, log.first, log.used = name, opened, base, first, used
    log.newest, log.units, log.size, log.head, log.count = newest, units, size, head, count
  else
    log = { name = name, opened = opened, base = base, first = first, used = used,
            newest = newest, units = units, size = size, head = head, count = count }
  end
  if count > 0 and first >= window and first < 2 ^ 47 then
    -- Forget what is over: at least the oldest entry, not the newest.
    local gone, age, sum = 1, entry(log, 1)
    if age >= window then gone, age, sum = search(log, 2, window, 0) end
    log.used, log.first, log.base = (base + used - sum) % 2 ^ 32, age, sum
    log.head, log.count = (head + gone) % size, count - gone
  end
  return log, is_ahead
end

local function wait(log, cost, limit, window)
  if cost > limit then return NEVER end
  local excess = log and cost > 0 and log.used + cost - limit or 0
  return excess > 0 and leave(log, excess, window) or 0
end

local function report(log, limit, window)
  if not log then return limit, 0, 0 end
  local remaining = log.used < limit and limit - log.used or 0
  local more = leave(log, log.used + remaining + 1 - limit, window)
  return remaining, more, log.newest < 2 ^ 47 and window - log.newest or window
end

-- What lies in the future happened now: all slots anew, in order.
local function repair(name, log, reset, window)
  local slots = {}
  for index = 0, log.count - 1 do
    local age, sum = entry(log, index)
    slots[index + 1] = struct.pack(">I6I4", (now - (age < 2 ^ 47 and age or 0)) % 2 ^ 48, sum)
  end
  local free = ("\0"):rep((log.size - log.count) * 10)
  log.head, log.newest = 0, 0
  if log.opened >= 2 ^ 47 then log.opened = 0 end
  if log.first >= 2 ^ 47 then log.first = 0 end
  store(name, pack_head(log) .. table.concat(slots) .. free, reset + window / 60)
end

-- Make room for 16 more slots, of which `slot` is the first; all there are are in use.
local function grow(log, slot)
  local slots, split = "", log.head * 10
  if log.size > 0 then slots = redis.call("GETRANGE", log.name, 36, 35 + log.size * 10) end
  slots = slots .. ("\0"):rep(log.size * 10 - #slots) -- cut off by others
  log.size, log.head = log.size + 16, 0
  redis.call("SET", log.name, pack_head(log) .. slots:sub(split + 1) .. slots:sub(1, split) .. slot
                              .. ("\0"):rep(150), "KEEPTTL")
end

-- How many of `times` the newest entry takes. One that was opened at this very instant takes all:
-- they leave together anyway.
local function joining(log, cost, times, limit, window)
  if log.opened == 0 then return times end
  local room = limit - log.units * 128
  if room <= 0 or log.opened >= (window - window % 60) / 60 then return 0 end
  return times == 1 and 1 or math.min(times, math.ceil(room / (cost * 128)))
end

local function charge(name, log, cost, times, limit, window)
  if not log then
    local units, time = cost * times, now % 2 ^ 48
    store(name, struct.pack(">I6I4I6I4I6I4I2I2I2", time, 0, time, units, time, units, 0, 0, 0),
          window + window / 60)
    return { opened = 0, base = 0, first = 0, used = units, newest = 0, units = units, count = 0 }
  end
  if log.newest >= 2 ^ 47 then repair(name, log, window, window) end
  if log.newest > now % (window / 60) then keep(name, window + window / 60) end
  local joined = joining(log, cost, times, limit, window)
  if joined > 0 then
    log.units, log.used, log.newest = log.units + joined * cost, log.used + joined * cost, 0
    if log.count == 0 then log.first = 0 end
  end
  if joined < times then
    local sum = (log.base + log.used - log.units) % 2 ^ 32
    local slot = struct.pack(">I6I4", (now - log.newest) % 2 ^ 48, sum)
    log.count, log.opened, log.newest = log.count + 1, 0, 0
    log.units = (times - joined) * cost
    log.used = log.used + log.units
    if log.count > log.size then
      grow(log, slot)
      return log
    end
    local at = 36 + (log.head + log.count - 1) % log.size * 10
    redis.call("SETRANGE", name, ("%d"):format(at), slot)
  end
  redis.call("SETRANGE", name, "0", pack_head(log))
  return log
end

return read, wait, charge, report, repair
