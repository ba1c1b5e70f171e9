-- Put notifications into the queues of their channels, and note in the hold that they are there.
--
-- Promises: both or neither; a hold that changed since it was looked at is `stale` and nothing is
-- put anywhere; a notification that waits is not put in twice; those for which there is no room
-- come back, and are kept apart until it is on record that nobody was told. Alarms go to the front,
-- and there is room for them: whoever breaks the glass may not hide it behind requests of their own.
--
-- ARGV: 3 key of holds  4 key of queues  5 hold or ''  6 state  7 version  8 told so far  9 told now
--       10 when to look again (us) or ''  11 open step  12 waiting_max  13 refused_max
--       then for each: channel, id, notification
if ARGV[5] ~= '' then
  local hold = ARGV[3] .. ARGV[5]
  local state, version, told, step = unpack(redis.call('HMGET', hold, 'state', 'version', 'told',
    'open_step'))
  if state ~= ARGV[6] or version ~= ARGV[7] or (told or '') ~= ARGV[8]
    or (step or '1') ~= ARGV[11] then
    return { 'stale' }
  end
  redis.call('HSET', hold, 'told', ARGV[9])
  if ARGV[10] == '' then
    redis.call('ZREM', TELL, ARGV[5])
  else
    redis.call('ZADD', TELL, ARGV[10], ARGV[5])
  end
end
local answer = { 'ok' }
local bodies = ARGV[4] .. 'bodies'
for at = 14, #ARGV, 3 do
  local queue = ARGV[4] .. 'queue:' .. ARGV[at]
  if redis.call('HEXISTS', bodies, ARGV[at + 1]) == 0 then
    local alarm = cjson.decode(ARGV[at + 2]).moment == 'break_glass'
    if not alarm and redis.call('ZCARD', queue) >= tonumber(ARGV[12]) then
      answer[#answer + 1] = ARGV[at + 1]
      if redis.call('HLEN', ARGV[4] .. 'refused') < tonumber(ARGV[13]) then
        redis.call('HSET', ARGV[4] .. 'refused', ARGV[at + 1], ARGV[at + 2])
      end
    else
      redis.call('HSET', bodies, ARGV[at + 1], ARGV[at + 2])
      redis.call('ZADD', queue, alarm and 0 or text(NOW), ARGV[at + 1])
      redis.call('SADD', ARGV[4] .. 'channels', ARGV[at])
    end
  end
end
return answer
