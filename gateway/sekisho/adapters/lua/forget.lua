-- Remove an ended hold whose time of keeping is over, and give its bytes back.
--
-- Promises: a hold that still has to be decided, sent or finished is never removed.
local state = field('state')
local due = redis.call('ZSCORE', DUE, ID)
if not state then
  redis.call('ZREM', DUE, ID)
  redis.call('ZREM', OPEN, ID)
  return { 'ok' }
end
if LIVE[state] or not due or NOW < tonumber(due) then
  return { 'no' }
end
redis.call('DECRBY', BYTES, text(number('bytes')))
redis.call('ZREM', DUE, ID)
redis.call('ZREM', TELL, ID)
redis.call('DEL', HOLD)
return { 'ok' }
