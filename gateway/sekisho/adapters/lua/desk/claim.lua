-- Take a hold for a while, or take it for longer; whoever has it comes back, with the time it ends.
--
-- KEYS: 1 the claim  ARGV: 1 hold  2 channel for wake-ups  3 reviewer  4 lease in us
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
local held = redis.call('GET', KEYS[1])
if held and string.match(held, '^%d+ (.*)$') ~= ARGV[3] then
  return held
end
local mine = string.format('%.0f', now + tonumber(ARGV[4])) .. ' ' .. ARGV[3]
redis.call('SET', KEYS[1], mine, 'PX', string.format('%.0f', tonumber(ARGV[4]) / 1000))
redis.call('PUBLISH', ARGV[2], ARGV[1])
return mine
