-- What the scripts use of Redis' struct library, for a server that lacks it (fakeredis): formats
-- of big-endian unsigned integers such as ">I6I4".

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

local function unpack_numbers(format, text)
  local numbers, at = {}, 1
  for width in format:gmatch("I(%d)") do
    local number = 0
    for index = at, at + tonumber(width) - 1 do number = number * 256 + text:byte(index) end
    numbers[#numbers + 1], at = number, at + tonumber(width)
  end
  return unpack(numbers)
end

return { pack = pack, unpack = unpack_numbers }
