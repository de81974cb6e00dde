-- For wrk: every request comes from another of 10,000 addresses.

local number = 0

function request()
  number = (number + 7919) % 10000
  local address = string.format("10.0.%d.%d", number / 100, number % 100 + 1)
  return wrk.format("GET", nil, { ["X-Forwarded-For"] = address })
end
