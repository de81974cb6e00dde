-- A hash: "h" is opened 6, time and units of the newest entry 6 + 4, units of the whole log 4, number
-- of the oldest and of the newest entry 4 + 4; the number of an entry is the field that holds it,
-- (time 6, units 4), from when the next one is opened.

local key, call, pack, unpack = KEYS[1], redis.call, struct.pack, struct.unpack
local opened, newest, units, used, oldest, latest = now, now, 0, 0, 0, 0

-- The time and the units of an entry.
local function entry(number)
  if number == latest then return newest, units end
  return unpack(">I6I4", call("HGET", key, number))
end

local head = call("HGET", key, "h")
local first = now
if head then
  opened, newest, units, used, oldest, latest = unpack(">I6I6I4I4I4I4", head)
  if newest > now - window then
    local leaving
    first, leaving = entry(oldest)
    while first <= now - window do
      call("HDEL", key, oldest)
      used, oldest = used - leaving, oldest + 1
      first, leaving = entry(oldest)
    end
  else
    call("DEL", key)
    head, units, used, oldest, latest, first = false, 0, 0, 0, 0, now
  end
end

local wait = first + window - now
if used >= limit then return { wait, 0, wait, newest + window - now } end
used = used + 1
if head and takes(opened, units) then
  if oldest == latest then wait = window end
  head = pack(">I6I6I4I4I4I4", opened, now, units + 1, used, oldest, latest)
  call("HSET", key, "h", head)
elseif head then
  local closed = pack(">I6I4", newest, units)
  head = pack(">I6I6I4I4I4I4", now, now, 1, used, oldest, latest + 1)
  call("HSET", key, "h", head, latest, closed)
else
  call("HSET", key, "h", pack(">I6I6I4I4I4I4", now, now, 1, used, oldest, latest))
end
call("PEXPIRE", key, 1001 + (window - window % 1000) / 1000)
return { 0, limit - used, wait, window }
