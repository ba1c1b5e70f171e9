-- A new run of this server: counters of an earlier one may lack what it had acknowledged.
--
-- Promises: of several workers that saw the same end, one begins and the others join it.
--
-- KEYS: 1 the run  ARGV: 1 the run that ended, "" if there is none  2 name for the new one

local run = redis.call('GET', KEYS[1])
if not run or run == ARGV[1] then
  local clock = redis.call('TIME')
  local NOW = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
  run = ARGV[2] .. ':' .. string.format('%.0f', NOW)
  redis.call('SET', KEYS[1], run)
end
return run
