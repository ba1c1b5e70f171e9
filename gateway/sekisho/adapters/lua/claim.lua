-- One worker takes an approved hold to send it: approved -> dispatching, with a lease.
--
-- Promises: at most one claim ever succeeds, of the version that was read; a claim repeated by the
-- same claimant (its reply was lost) succeeds again; room for the answer is set aside before anything
-- is sent (`full`). An approval whose time is over ends as expired: silence after approval does not
-- send either.
--
-- ARGV: 3 claimant  4 lease_us  5 answer_bytes_max  6 total_bytes_max  7 keep_us  8 version
local state, claimant = unpack(redis.call('HMGET', HOLD, 'state', 'claimant'))
if not state then
  return { 'missing' }
end
if state == 'dispatching' and claimant == ARGV[3] then
  return { 'ok' }
end
if state ~= 'approved' or field('version') ~= ARGV[8] then
  return { 'closed', state }
end
if NOW >= number('execute_until_us') then
  redis.call('HSET', HOLD, 'outcome', 'approval_lapsed')
  close('expired', ARGV[7])
  return { 'late' }
end
local total = tonumber(redis.call('GET', BYTES) or '0')
if total + tonumber(ARGV[5]) > tonumber(ARGV[6]) then
  return { 'full' }
end
redis.call('INCRBY', BYTES, ARGV[5])
local lease = NOW + tonumber(ARGV[4])
redis.call('HSET', HOLD, 'claimant', ARGV[3], 'lease_us', text(lease), 'aside', ARGV[5])
move('dispatching', lease)
return { 'ok' }
