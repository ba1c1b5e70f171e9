-- Count one redirect of a waiting client.
--
-- Promises: a client is sent on at most hops_max times and never past wait_until_us, whatever the
-- query of its URL says.
--
-- ARGV: 3 hops_max
if redis.call('EXISTS', HOLD) == 0 then
  return { 'missing' }
end
if number('hops') >= tonumber(ARGV[3]) or NOW >= number('wait_until_us') then
  return { 'over' }
end
return { 'ok', tostring(redis.call('HINCRBY', HOLD, 'hops', 1)) }
