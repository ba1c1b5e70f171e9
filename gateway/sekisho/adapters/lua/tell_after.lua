-- After an attempt: the notification is done with, or is tried again after a while. Idempotent.
--
-- ARGV: 3 key of queues  4 channel  5 id  6 attempts so far  7 delay_us or ''
local queue = ARGV[3] .. 'queue:' .. ARGV[4]
if ARGV[7] == '' then
  redis.call('ZREM', queue, ARGV[5])
  redis.call('HDEL', ARGV[3] .. 'bodies', ARGV[5])
  redis.call('HDEL', ARGV[3] .. 'tries', ARGV[5])
  redis.call('HDEL', ARGV[3] .. 'refused', ARGV[5])
  if redis.call('ZCARD', queue) == 0 then
    redis.call('SREM', ARGV[3] .. 'channels', ARGV[4])
  end
elseif redis.call('ZSCORE', queue, ARGV[5]) then
  redis.call('HSET', ARGV[3] .. 'tries', ARGV[5], ARGV[6])
  redis.call('ZADD', queue, text(NOW + tonumber(ARGV[7])), ARGV[5])
end
return { 'ok' }
