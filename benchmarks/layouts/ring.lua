-- The layout of the library in a script as short as those of the other candidates: a string that is
-- changed in place. Used units 4, base 4, time of the oldest entry 6, time and units of the newest
-- 6 + 4, opened 6, size, head and count 2 + 2 + 2; then `size` slots of (time 6, sum 4), a ring with
-- the older entries. `sum` runs over the units of all entries before this one, modulo 2^32, so that
-- one slot tells both what is left when it becomes the oldest and when it leaves; `base` is the sum
-- of the oldest.

local key, call, pack, unpack = KEYS[1], redis.call, struct.pack, struct.unpack
local HEAD, SLOT, GROWTH = 36, 10, 16
local FORMAT = ">I4I4I6I6I4I6I2I2I2"
local used, base, first, newest, units, opened, size, head, count = 0, 0, now, now, 0, now, 0, 0, 0

-- The time and the sum of the entry that is `index` after the oldest.
local function entry(index)
  if index == count then return newest, (base + used - units) % 2 ^ 32 end
  local at = HEAD + (head + index) % size * SLOT
  return unpack(">I6I4", call("GETRANGE", key, at, at + SLOT - 1))
end

local text = call("GETRANGE", key, "0", "35")
local is_warm = #text == HEAD
if is_warm then
  used, base, first, newest, units, opened, size, head, count = unpack(FORMAT, text)
  is_warm = newest > now - window
  if not is_warm then used, base, first, size, head, count = 0, 0, now, 0, 0, 0 end
end
while first <= now - window do
  local sum
  first, sum = entry(1)
  used, base, head, count = (base + used - sum) % 2 ^ 32, sum, (head + 1) % size, count - 1
end

local wait = first + window - now
if used >= limit then return { wait, 0, wait, newest + window - now } end
if is_warm and takes(opened, units) then
  units = units + 1
  if count == 0 then first = now end
elseif is_warm then
  if count == size then
    local slots = string.sub(call("GET", key), HEAD + 1)
    slots = string.sub(slots, head * SLOT + 1) .. string.sub(slots, 1, head * SLOT)
    size, head = size + GROWTH, 0
    call("SET", key, text .. slots .. string.rep("\0", GROWTH * SLOT))
  end
  local slot = pack(">I6I4", newest, (base + used - units) % 2 ^ 32)
  call("SETRANGE", key, HEAD + (head + count) % size * SLOT, slot)
  opened, units, count = now, 1, count + 1
else
  call("DEL", key)
  opened, units = now, 1
end
used = used + 1
call("SETRANGE", key, "0", pack(FORMAT, used, base, first, now, units, opened, size, head, count))
call("PEXPIRE", key, 1001 + (window - window % 1000) / 1000)
return { 0, limit - used, first + window - now, window }
