-- What one channel has to be sent now, with how often it was tried and the state of its hold.
--
-- ARGV: 3 key of holds  4 key of queues  5 channel  6 limit
local queue, bodies = ARGV[4] .. 'queue:' .. ARGV[5], ARGV[4] .. 'bodies'
local found = {}
for _, id in ipairs(redis.call('ZRANGE', queue, '-inf', text(NOW), 'BYSCORE', 'LIMIT', 0, ARGV[6])) do
  local body = redis.call('HGET', bodies, id)
  if body then
    local fine, told = pcall(cjson.decode, body)
    local hold = fine and type(told) == 'table' and type(told.hold) == 'string' and told.hold or ''
    local state = hold ~= '' and redis.call('HGET', ARGV[3] .. hold, 'state')
    local tries = redis.call('HGET', ARGV[4] .. 'tries', id)
    found[#found + 1] = { id, body, tries or '0', state or '' }
  else
    redis.call('ZREM', queue, id)
  end
end
return { text(NOW), found }
