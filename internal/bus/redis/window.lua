-- How windows of the UTC clock and calendar follow one another. Times are seconds of the
-- Unix epoch; periods are 0 to 5 for second, minute, hour, day, month, year.

local lengths = {[0] = 1, 60, 3600, 86400}

-- first is the first day of a month, which may be 13 for the January that follows.
local function first(y, m)
  if m > 12 then y, m = y + 1, m - 12 end
  if m <= 2 then y, m = y - 1, m + 12 end
  local days = 365 * y + math.floor(y / 4) - math.floor(y / 100) + math.floor(y / 400)
  return (days + math.floor((153 * (m - 3) + 2) / 5) - 719468) * 86400
end

-- month is the year and the month that a second lies in.
local function month(sec)
  local z = math.floor(sec / 86400) + 719468
  local era = math.floor(z / 146097)
  local doe = z - era * 146097
  local yoe = math.floor((doe - math.floor(doe / 1460) + math.floor(doe / 36524) - math.floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
  local mp = math.floor((5 * doy + 2) / 153)
  local y = yoe + era * 400
  if mp < 10 then return y, mp + 3 end
  return y + 1, mp - 9
end

-- span is the window of a period that a second lies in: when it starts, and when it ends.
local function span(period, sec)
  local n = lengths[period]
  if n then
    local start = sec - sec % n
    return start, start + n
  end
  local y, m = month(sec)
  if period == 5 then return first(y, 1), first(y, 13) end
  return first(y, m), first(y, m + 1)
end

-- share is n * part / whole, rounded up. It is exact: no step exceeds 2^53 while whole is
-- below 2^45, which a year of microseconds is, and n below 2^36.
local function share(n, part, whole)
  local quotient, rest = 0, 0
  for digit = 5, 0, -1 do
    local unit = 64 ^ digit
    local d = math.floor(n / unit)
    n = n - d * unit
    local x = rest * 64 + d * part
    rest = math.fmod(x, whole)
    quotient = quotient * 64 + (x - rest) / whole
  end
  if rest > 0 then quotient = quotient + 1 end
  return quotient
end

-- read is a counter: until when it is of use, its count, and that of the window before.
local function read(text)
  local till, n, last = string.match(text or '', '^(%d+) (%d+) (%d+)$')
  return {till = tonumber(till or 0), n = tonumber(n or 0), last = tonumber(last or 0)}
end

local function write(c)
  return string.format('%.0f %.0f %.0f', c.till, c.n, c.last)
end

-- roll makes c the counter of a window that ends at stop, unless it is one already, or of
-- a later window: a clock that was set back begins nothing anew.
local function roll(c, stop, till)
  if c.till >= till then return end
  if c.till == stop then c.last = c.n else c.last = 0 end
  c.n, c.till = 0, till
end

-- keep lets the key live until till at least.
local function keep(key, sec, till)
  if redis.call('TTL', key) < till - sec then
    redis.call('EXPIREAT', key, string.format('%.0f', till))
  end
end
