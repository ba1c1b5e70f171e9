-- Alarms that were put into the queues: which of these were not, or note that they are there.
--
-- Promises: what is noted is known as long as this store keeps its data, and a month at least.
--
-- ARGV: 3 key of the notes  4 'ask' or 'note'  5 kept_ms  then the ids
local fresh = {}
for at = 6, #ARGV do
  if ARGV[4] == 'note' then
    redis.call('SADD', ARGV[3], ARGV[at])
  elseif redis.call('SISMEMBER', ARGV[3], ARGV[at]) == 0 then
    fresh[#fresh + 1] = ARGV[at]
  end
end
if ARGV[4] == 'note' then
  redis.call('PEXPIRE', ARGV[3], ARGV[5])
end
return fresh
