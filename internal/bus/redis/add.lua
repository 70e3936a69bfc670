-- KEYS: who. ARGV: 1 for a sliding rule, else 0; the period; until when the counter is of
-- use; how much to add.
-- Adds what a node has let pass. Returns the time in seconds and microseconds, and the
-- counter that stands then.
local now = redis.call('TIME')
local sec = tonumber(now[1])
local sliding, period, till, n = ARGV[1] == '1', tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local c = read(redis.call('HGET', KEYS[1], ARGV[2]))
local stop = till -- of the window that it was counted in
if sliding then stop = span(period, till - 1) end
roll(c, stop, till)
if c.till == till then
  c.n = c.n + n
elseif sliding and span(period, c.till - 1) == till then
  c.last = c.last + n -- a window has begun meanwhile
end
if till > sec then
  redis.call('HSET', KEYS[1], ARGV[2], write(c))
  keep(KEYS[1], sec, c.till)
end
return {sec, tonumber(now[2]), c.till, c.n, c.last}
