-- A claim whose lease is over: dispatching -> unknown. Nobody knows whether it was sent.
--
-- Promises: a live lease is left alone; a lost claim is never given to another worker.
--
-- ARGV: 3 keep_us
if field('state') ~= 'dispatching' or NOW < number('lease_us') then
  return { 'no' }
end
give_back(0)
redis.call('HSET', HOLD, 'outcome', 'lease_lost')
close('unknown', ARGV[3])
return { 'ok' }
