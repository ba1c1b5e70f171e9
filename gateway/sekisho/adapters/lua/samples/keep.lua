-- Keep the sealed content of one sample for a time, if there is room for it.
--
-- Promises: what was kept is kept once, however often this is asked; what is over makes room first,
-- a hundred at a time; the count of bytes is that of what is there.
--
-- KEYS: 1 sizes, a hash by sample, all together under ''  2 ends, sorted by time  3 the content
-- ARGV: 1 sample  2 the content  3 how long it is kept (ms)  4 bytes of all at most  5 prefix of keys
local sizes, ends = KEYS[1], KEYS[2]
local clock = redis.call('TIME')
local now_ms = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)

for _, over in ipairs(redis.call('ZRANGEBYSCORE', ends, '-inf', now_ms, 'LIMIT', 0, 100)) do
  redis.call('HINCRBY', sizes, '', '-' .. (redis.call('HGET', sizes, over) or '0'))
  redis.call('HDEL', sizes, over)
  redis.call('ZREM', ends, over)
  redis.call('DEL', ARGV[5] .. over)
end
if redis.call('HEXISTS', sizes, ARGV[1]) == 1 then
  return 1
end
local size = #ARGV[2]
if tonumber(redis.call('HGET', sizes, '') or '0') + size > tonumber(ARGV[4]) then
  return 0
end
redis.call('HSET', sizes, ARGV[1], size)
redis.call('HINCRBY', sizes, '', size)
redis.call('ZADD', ends, string.format('%.0f', now_ms + tonumber(ARGV[3])), ARGV[1])
redis.call('SET', KEYS[3], ARGV[2], 'PX', ARGV[3])
return 1
