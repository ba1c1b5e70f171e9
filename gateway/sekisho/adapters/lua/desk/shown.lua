-- When a reader was first shown a version of a hold: now, if this is the first time.
--
-- KEYS: 1 the moment  ARGV: 1 how long it is kept, in ms
local clock = redis.call('TIME')
local now = clock[1] .. string.format('%06d', clock[2])
redis.call('SET', KEYS[1], now, 'NX', 'PX', ARGV[1])
return redis.call('GET', KEYS[1])
