-- One worker sends at a time; the others look whether it is still there.
--
-- Promises: who leads goes on leading for `lease_ms` from each call; 0 gives it up.
--
-- ARGV: 3 key of the lease  4 sender  5 lease_ms
local leads = redis.call('GET', ARGV[3])
if leads and leads ~= ARGV[4] then
  return { 'no' }
end
if ARGV[5] == '0' then
  redis.call('DEL', ARGV[3])
else
  redis.call('SET', ARGV[3], ARGV[4], 'PX', ARGV[5])
end
return { 'ok' }
