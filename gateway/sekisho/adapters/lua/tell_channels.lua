-- The channels for which something waits.
--
-- ARGV: 3 key of queues
return redis.call('SMEMBERS', ARGV[3] .. 'channels')
