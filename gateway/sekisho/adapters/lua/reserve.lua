-- Claim a join pointer before anything is written to the ledger, or learn whom it belongs to.
--
-- Promises: of equal requests at the same time one is `mine`, all others are told its id; the
-- bytes are counted before they are promised to anybody (`full`), and what the sharer has already
-- before it has more (`share`); the same Idempotency-Key with another body is a `mismatch`. Idempotent by hold id; claimed again it has the new size. A
-- reservation lasts until `file` or `drop`, and is nobody's orphan for `expected_us`.
--
-- ARGV: 3 join digest  4 body digest  5 bytes  6 total_bytes_max  7 rejoin_us  8 key of holds
--       9 expected_us  10 sharer or ''  11 share_max  12 share_bytes_max
local held, body, size = unpack(redis.call('HMGET', JOIN, 'hold', 'body', 'bytes'))
local member = ID .. '|' .. ARGV[3]
if held == ID then
  if redis.call('ZSCORE', FILING, member) then
    local more = tonumber(ARGV[5]) - tonumber(size)
    if more > 0 and tonumber(redis.call('GET', BYTES) or '0') + more > tonumber(ARGV[6]) then
      return { 'full', '' }
    end
    redis.call('INCRBY', BYTES, text(more))
    redis.call('HSET', JOIN, 'bytes', ARGV[5])
    redis.call('ZADD', FILING, text(NOW + tonumber(ARGV[9])), member)
  end
  return { 'mine', ID }
end
if held then
  local state, closed = unpack(redis.call('HMGET', ARGV[8] .. held, 'state', 'closed_us'))
  local filing = not state and redis.call('ZSCORE', FILING, held .. '|' .. ARGV[3])
  local joins = state and (not closed or NOW - tonumber(closed) < tonumber(ARGV[7]))
  if filing or joins then
    if body ~= ARGV[4] then
      return { 'mismatch', held }
    end
    return { filing and 'filing' or 'joined', held }
  end
end
local total = tonumber(redis.call('GET', BYTES) or '0')
if total + tonumber(ARGV[5]) > tonumber(ARGV[6]) then
  return { 'full', '' }
end
if ARGV[10] ~= '' then
  -- One that is alone is let in whatever its size: else it never could be.
  local has = redis.call('HLEN', share_of(ARGV[10])) - 1
  local bytes = tonumber(redis.call('HGET', share_of(ARGV[10]), 'bytes') or '0')
  if has >= tonumber(ARGV[11]) or (has > 0 and bytes + tonumber(ARGV[5]) > tonumber(ARGV[12])) then
    return { 'share', '' }
  end
  take_share(ARGV[10], ARGV[5])
end
redis.call('DEL', JOIN)
redis.call('HSET', JOIN, 'hold', ID, 'body', ARGV[4], 'bytes', ARGV[5], 'sharer', ARGV[10])
redis.call('INCRBY', BYTES, ARGV[5])
redis.call('ZADD', FILING, text(NOW + tonumber(ARGV[9])), member)
return { 'mine', ID }
