-- A worker is alive. If another has not been heard for long, its claims cannot be told from what
-- it used: a new run begins, and every counter is made again from the ledger.
--
-- Promises: a worker that gets `ok` knows that no counter was made anew since its last `ok`.
--
-- KEYS: 1 the run  2 workers by when they were heard
-- ARGV: 1 the run the worker knows  2 worker  3 silence that counts as dead, us  4 name for a new
--   run  5 "1": it leaves

local run = redis.call('GET', KEYS[1])
if run ~= ARGV[1] then
  return { 'run', run or '' }
end
if ARGV[5] == '1' then
  redis.call('ZREM', KEYS[2], ARGV[2])
  return { 'ok', run }
end

local clock = redis.call('TIME')
local NOW = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
redis.call('ZADD', KEYS[2], string.format('%.0f', NOW), ARGV[2])
local before = string.format('%.0f', NOW - tonumber(ARGV[3]))
if redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', before) > 0 then
  run = ARGV[4] .. ':' .. string.format('%.0f', NOW)
  redis.call('SET', KEYS[1], run)
  return { 'run', run }
end
return { 'ok', run }
