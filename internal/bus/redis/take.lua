-- KEYS: who. ARGV: 1 for a sliding rule, else 0; then each period and its quota.
-- Counts an event in all periods if it is within all quotas. Returns 1 if so, else 0, the
-- time in seconds and microseconds, and of each period its counter.
local now = redis.call('TIME')
local sec, usec = tonumber(now[1]), tonumber(now[2])
local sliding = ARGV[1] == '1'
local names = {}
for i = 2, #ARGV, 2 do names[#names + 1] = ARGV[i] end
local stored = redis.call('HMGET', KEYS[1], unpack(names))
local counters, ok, longest = {}, 1, 0
for i, name in ipairs(names) do
  local period, quota = tonumber(name), tonumber(ARGV[2 * i + 1])
  local start, stop = span(period, sec)
  local till = sliding and select(2, span(period, stop)) or stop
  local c = read(stored[i])
  roll(c, stop, till)
  local used = c.n
  if c.last > 0 then used = used + share(c.last, (stop - sec) * 1000000 - usec, (stop - start) * 1000000) end
  if used >= quota then ok = 0 end
  longest = math.max(longest, c.till)
  counters[i] = c
end
local out, set = {ok, sec, usec}, {}
for i, c in ipairs(counters) do
  c.n = c.n + ok
  set[#set + 1], set[#set + 2] = names[i], write(c)
  for _, v in ipairs({c.till, c.n, c.last}) do out[#out + 1] = v end
end
if ok == 1 then
  redis.call('HSET', KEYS[1], unpack(set))
  keep(KEYS[1], sec, longest)
end
return out
