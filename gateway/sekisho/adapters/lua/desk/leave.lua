-- Give back a claim of one's own; another's is left alone.
--
-- KEYS: 1 the claim  ARGV: 1 hold  2 channel for wake-ups  3 reviewer
local held = redis.call('GET', KEYS[1])
if held and string.match(held, '^%d+ (.*)$') == ARGV[3] then
  redis.call('DEL', KEYS[1])
  redis.call('PUBLISH', ARGV[2], ARGV[1])
end
return 'ok'
