-- Publish a decision that the ledger has: deciding -> approved | denied | expired | withdrawn, or
-- back to pending while reviews, or the reason of whoever asked, are still missing. A new version of
-- what is held is pending, too, and no review of the one before counts for it, nor its approval. One
-- that the ledger does not take where the approval does not do any more ends it: failed.
--
-- Promises: only the proposal being decided settles; the same settlement twice is one; the outcome
-- carries the ledger's origin and index. An approval is good until `execute_until_us`.
--
-- ARGV: 3 decision id  4 new state  5 version  6 person or ''  7 review (sealed) or ''
--       8 origin  9 index  10 execution_us  11 keep_us  12 reviewer or ''
--       13 justification (sealed) or ''  14 the step that is open now, or ''
--       15 bytes of a new version or '', then its fields
local state, deciding = unpack(redis.call('HMGET', HOLD, 'state', 'deciding'))
if not state then
  return { 'missing' }
end
local seat = 'by:' .. ARGV[5] .. ':' .. ARGV[6]
if field('settled_by') == ARGV[3] or field(seat) == ARGV[3] or field('justified_by') == ARGV[3]
  or field('edited_by') == ARGV[3] then
  return { 'ok', state }
end
if state ~= 'deciding' or deciding ~= ARGV[3] then
  return { 'stale', state }
end
redis.call('HDEL', HOLD, 'deciding', 'deciding_us', 'deciding_origin', 'deciding_kind', 'proposal')
if ARGV[6] ~= '' then
  local place = redis.call('HINCRBY', HOLD, 'reviews', 1)
  redis.call('HSET', HOLD, 'review:' .. place, ARGV[7], seat, ARGV[3],
    'by:' .. ARGV[5] .. ':' .. ARGV[12], ARGV[3])
end
if ARGV[13] ~= '' then
  redis.call('HSET', HOLD, 'justification', ARGV[13], 'justified_by', ARGV[3])
end
if ARGV[14] ~= '' then
  redis.call('HSET', HOLD, 'open_step', ARGV[14])
end
if ARGV[15] ~= '' then
  redis.call('INCRBY', BYTES, text(tonumber(ARGV[15]) - number('bytes')))
  redis.call('HSET', HOLD, 'edited_by', ARGV[3], 'bytes', ARGV[15], 'reviews', 0, unpack(ARGV, 16))
  redis.call('HDEL', HOLD, 'settled_by', 'settled_us', 'settled_origin', 'settled_index',
    'execute_until_us')
  redis.call('ZADD', OPEN, field('expires_us'), ID)
end
if ARGV[4] == 'pending' then
  move('pending', pending_due())
  return { 'ok', 'pending' }
end
redis.call('HSET', HOLD, 'settled_by', ARGV[3], 'settled_us', text(NOW), 'settled_origin', ARGV[8],
  'settled_index', ARGV[9])
if ARGV[4] == 'approved' then
  redis.call('HSET', HOLD, 'execute_until_us', text(NOW + tonumber(ARGV[10])))
  move('approved', NOW)
else
  if ARGV[4] == 'failed' then
    redis.call('HSET', HOLD, 'outcome', 'policy_changed')
  end
  close(ARGV[4], ARGV[11])
end
return { 'ok', ARGV[4] }
