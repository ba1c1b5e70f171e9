-- Notifications for which there was no room, until somebody put that on record.
--
-- ARGV: 3 key of queues  4 limit
local found = {}
for _, id in ipairs(redis.call('HKEYS', ARGV[3] .. 'refused')) do
  found[#found + 1] = { id, redis.call('HGET', ARGV[3] .. 'refused', id) }
  if #found >= tonumber(ARGV[4]) then
    break
  end
end
return found
