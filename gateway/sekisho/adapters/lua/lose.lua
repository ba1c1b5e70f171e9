-- A claim whose lease is over: dispatching -> unknown. Nobody knows whether it was sent.
--
-- An answer is another matter: to give it to who asked for it a second time does no harm, so a
-- claim to release one goes back to approved.
--
-- Promises: a live lease is left alone; a lost claim to send is never given to another worker.
--
-- ARGV: 3 keep_us
if field('state') ~= 'dispatching' or NOW < number('lease_us') then
  return { 'no' }
end
give_back(0)
local stage = field('stage')
if stage == 'response' or stage == 'tool_call' then
  redis.call('HDEL', HOLD, 'claimant', 'lease_us')
  move('approved', NOW)
  return { 'ok' }
end
redis.call('HSET', HOLD, 'outcome', 'lease_lost')
close('unknown', ARGV[3])
return { 'ok' }
