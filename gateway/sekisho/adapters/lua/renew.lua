-- Lengthen the lease of a claim that is still held.
--
-- Promises: a lease that is over is not revived, even if nobody noticed yet.
--
-- ARGV: 3 claimant  4 lease_us
local state, claimant = unpack(redis.call('HMGET', HOLD, 'state', 'claimant'))
if state ~= 'dispatching' or claimant ~= ARGV[3] or NOW >= number('lease_us') then
  return { 'lost' }
end
local lease = NOW + tonumber(ARGV[4])
redis.call('HSET', HOLD, 'lease_us', text(lease))
redis.call('ZADD', DUE, text(lease), ID)
return { 'ok' }
