-- What the scripts use of Redis' struct library, for a server that lacks it (fakeredis): formats
-- of big-endian integers, such as ">I6I4", and, to unpack, of texts such as "c1".

local function pack(format, ...)
  local parts = {}
  local values, at = { ... }, 0
  for width in format:gmatch("I(%d)") do
    at = at + 1
    local number, bytes = values[at], ""
    for _ = 1, tonumber(width) do
      local low = number % 256
      bytes, number = string.char(low) .. bytes, (number - low) / 256
    end
    parts[at] = bytes
  end
  return table.concat(parts)
end

local function unpack_values(format, text, at)
  local values = {}
  at = at or 1
  for kind, width in format:gmatch("([Ic])(%d)") do
    local value = text:sub(at, at + tonumber(width) - 1)
    if kind == "I" then
      local bytes = value
      value = 0
      for index = 1, #bytes do value = value * 256 + bytes:byte(index) end
    end
    values[#values + 1], at = value, at + tonumber(width)
  end
  return unpack(values)
end

return { pack = pack, unpack = unpack_values }
