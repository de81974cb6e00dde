-- A list of packed records: (time 6, units 4) per entry, oldest first. The newest carries two more
-- fields: units of the whole log 4, opened 6.

local key, call, pack, unpack = KEYS[1], redis.call, struct.pack, struct.unpack
local used, first, newest, units, opened, is_alone = 0, now, now, 0, now, true

local tail = call("LINDEX", key, "-1")
if tail then newest, units, used, opened = unpack(">I6I4I4I6", tail) end
if tail and newest > now - window then
  local oldest = call("LINDEX", key, "0")
  local leaving
  first, leaving = unpack(">I6I4", oldest)
  while first <= now - window do
    call("LPOP", key)
    used, oldest = used - leaving, call("LINDEX", key, "0")
    first, leaving = unpack(">I6I4", oldest)
  end
  is_alone = #oldest > 10
elseif tail then
  call("DEL", key)
  tail, used, first = false, 0, now
end

local wait = first + window - now
if used >= limit then return { wait, 0, wait, newest + window - now } end
used = used + 1
if tail and takes(opened, units) then
  if is_alone then wait = window end
  call("LSET", key, "-1", pack(">I6I4I4I6", now, units + 1, used, opened))
else
  if tail then call("LSET", key, "-1", pack(">I6I4", newest, units)) end
  call("RPUSH", key, pack(">I6I4I4I6", now, 1, used, now))
end
call("PEXPIRE", key, 1001 + (window - window % 1000) / 1000)
return { 0, limit - used, wait, window }
