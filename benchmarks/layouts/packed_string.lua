-- A string, read and written whole: opened 6, units of the whole log 4; then (time 6, units 4) per
-- entry, oldest first.

local key, call, pack, unpack = KEYS[1], redis.call, struct.pack, struct.unpack
local HEAD, ENTRY = 10, 10
local used, first, newest, units, opened, from = 0, now, now, 0, now, HEAD + 1

local text = call("GET", key)
if text then
  opened, used = unpack(">I6I4", text)
  newest, units = unpack(">I6I4", text, #text - ENTRY + 1)
  local leaving
  first, leaving = unpack(">I6I4", text, from)
  while first <= now - window and used > leaving do
    used, from = used - leaving, from + ENTRY
    first, leaving = unpack(">I6I4", text, from)
  end
  if newest <= now - window then text, used, first = false, 0, now end
end

local wait = first + window - now
if used >= limit then return { wait, 0, wait, newest + window - now } end
used = used + 1
local before, entry = "", pack(">I6I4", now, 1)
if not text then
  opened = now
elseif takes(opened, units) then
  if from + ENTRY > #text then wait = window end
  before, entry = string.sub(text, from, -ENTRY - 1), pack(">I6I4", now, units + 1)
else
  before, opened = string.sub(text, from), now
end
text = pack(">I6I4", opened, used) .. before .. entry
call("SET", key, text, "PX", 1001 + (window - window % 1000) / 1000)
return { 0, limit - used, wait, window }
