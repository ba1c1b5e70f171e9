-- The claimant reports: dispatching -> ready with the answer, or failed with the cause.
--
-- Promises: only the claimant finishes, once; the same report twice is one. A claim that was given
-- up as lost stays unknown: terminal states never change, so a late answer is not delivered.
--
-- ARGV: 3 claimant  4 new state  5 cause or ''  6 answer (sealed) or ''  7 keep_us
local state, claimant = unpack(redis.call('HMGET', HOLD, 'state', 'claimant'))
if claimant ~= ARGV[3] then
  return { 'lost' }
end
if state == ARGV[4] or (ARGV[4] == 'ready' and state == 'delivered') then
  return { 'ok' }
end
if state ~= 'dispatching' then
  return { 'lost' }
end
give_back(#ARGV[6])
if ARGV[4] == 'ready' then
  redis.call('HSET', HOLD, 'answer', ARGV[6])
  move('ready', NOW + tonumber(ARGV[7]))
else
  redis.call('HSET', HOLD, 'outcome', ARGV[5])
  close('failed', ARGV[7])
end
return { 'ok' }
