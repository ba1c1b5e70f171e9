-- What has to be done: holds whose time has come, and reservations older than `orphan_us`.
--
-- ARGV: 3 key of holds  4 limit  5 orphan_us
local holds = {}
for _, id in ipairs(redis.call('ZRANGE', DUE, '-inf', text(NOW), 'BYSCORE', 'LIMIT', 0, ARGV[4])) do
  local row = redis.call('HMGET', ARGV[3] .. id, 'state', 'deciding_origin', 'starts_us')
  holds[#holds + 1] = { id, row[1] or '', row[2] or '', row[3] and '1' or '' }
end
local before = text(NOW - tonumber(ARGV[5]))
local orphans = redis.call('ZRANGE', FILING, '-inf', before, 'BYSCORE', 'LIMIT', 0, ARGV[4])
return { holds, orphans }
