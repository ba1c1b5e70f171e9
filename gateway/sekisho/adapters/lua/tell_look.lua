-- Holds about which somebody may have to be told: changed since they were looked at, or their time
-- has come.
--
-- ARGV: 3 key of holds  4 limit
local found = {}
for _, id in ipairs(redis.call('ZRANGE', TELL, '-inf', text(NOW), 'BYSCORE', 'LIMIT', 0, ARGV[4])) do
  local row = redis.call('HMGET', ARGV[3] .. id, 'state', 'version', 'card', 'justified_by', 'told',
    'open_step')
  if row[1] then
    local step = string.match(row[6] or '', '^%d+$') or '1'
    local justified = row[4] and '1' or ''
    found[#found + 1] = { id, row[1], row[2], row[3], justified, row[5] or '', step }
  else
    redis.call('ZREM', TELL, id)
  end
end
return { text(NOW), found }
