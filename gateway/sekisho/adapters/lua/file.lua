-- Keep a new pending hold that the ledger already has.
--
-- Promises: idempotent by hold id, whatever became of the hold since. If the reservation was given
-- up meanwhile the hold is kept all the same (the ledger has it); only its join pointer may then
-- belong to another.
--
-- ARGV: 3 join digest  4 bytes  5 expires_us  6 pointer_ms  7.. fields and values
if redis.call('EXISTS', HOLD) == 1 then
  return { 'ok' }
end
if redis.call('ZREM', FILING, ID .. '|' .. ARGV[3]) == 0 then
  redis.call('INCRBY', BYTES, ARGV[4])
end
if redis.call('HGET', JOIN, 'hold') == ID then
  redis.call('PEXPIRE', JOIN, ARGV[6])
end
redis.call('HSET', HOLD, unpack(ARGV, 7))
redis.call('HSET', HOLD, 'hops', 0, 'reviews', 0, 'bytes', ARGV[4])
redis.call('ZADD', OPEN, ARGV[5], ID)
take_share(field('principal'), ARGV[4])
move('pending', pending_due())
return { 'ok' }
