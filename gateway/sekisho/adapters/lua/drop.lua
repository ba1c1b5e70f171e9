-- Give up a reservation whose hold never reached the ledger.
--
-- Promises: a hold that was filed meanwhile stays as it is; counted bytes are given back once.
--
-- ARGV: 3 join digest
local member = ID .. '|' .. ARGV[3]
if redis.call('ZREM', FILING, member) == 0 then
  return { 'ok' }
end
local held, bytes, sharer = unpack(redis.call('HMGET', JOIN, 'hold', 'bytes', 'sharer'))
if redis.call('EXISTS', HOLD) == 0 and held == ID then
  redis.call('DECRBY', BYTES, bytes)
  redis.call('DEL', JOIN)
  if sharer ~= '' then
    leave_share(sharer)
  end
end
return { 'ok' }
