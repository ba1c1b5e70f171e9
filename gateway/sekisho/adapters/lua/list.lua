-- The open holds that end first, as state, card, whether a reason was given ('1'), the open step and
-- the time of reading; of one principal if asked.
--
-- ARGV: 3 key of holds  4 limit  5 principal or ''
local found = {}
for _, id in ipairs(redis.call('ZRANGE', OPEN, 0, -1)) do
  local row = redis.call('HMGET', ARGV[3] .. id, 'state', 'principal', 'card', 'justified_by',
    'open_step')
  if row[1] and (ARGV[5] == '' or row[2] == ARGV[5]) then
    local step = string.match(row[5] or '', '^%d+$') or '1'
    found[#found + 1] = { row[1], row[3], row[4] and '1' or '', step, text(NOW) }
    if #found >= tonumber(ARGV[4]) then
      break
    end
  end
end
return found
