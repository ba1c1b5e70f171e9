-- Remove the content of one sample.
--
-- Promises: twice is once; the count of bytes is that of what is there.
--
-- KEYS: 1 sizes, a hash by sample, all together under ''  2 ends, sorted by time  3 the content
-- ARGV: 1 sample
local size = redis.call('HGET', KEYS[1], ARGV[1])
if size then
  redis.call('HINCRBY', KEYS[1], '', '-' .. size)
  redis.call('HDEL', KEYS[1], ARGV[1])
end
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('DEL', KEYS[3])
return 1
