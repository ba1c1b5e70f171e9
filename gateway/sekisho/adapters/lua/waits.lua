-- The hold that stands for an equal request and is not over, or ''; it only looks.
--
-- ARGV: 3 key of holds
local held = redis.call('HGET', JOIN, 'hold')
if not held then
  return ''
end
local state, closed = unpack(redis.call('HMGET', ARGV[3] .. held, 'state', 'closed_us'))
return state and not closed and held or ''
