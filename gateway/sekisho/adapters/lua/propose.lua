-- Take a decision on its way: pending -> deciding, so that no other can be taken meanwhile.
--
-- Promises: one proposal at a time; a proposal made twice (same decision id) is one, and what was
-- proposed first is what counts. Reviews are checked here against what cannot change under them:
-- version, binding, expiry, the requester's person, one review per person: neither the reviewer nor
-- whoever's seat a delegate takes may have answered before, or have asked. A review is of the step
-- that is open: what was read before another one opened answers nothing there, and changes nothing. A
-- justification is taken from whoever asked only, a new version from anybody else. Nothing is decided
-- yet: the ledger comes next, then `settle`.
-- dispatching -> deciding: whoever has the claim finds that more people have to be asked before it
-- may be sent. With that the claim is given up: nothing can be sent or finished under it any more.
--
-- ARGV: 3 decision id  4 kind  5 version  6 binding  7 person  8 proposal (sealed)  9 origin
--       10 finish_us: how long the proposer has before others finish it  11 reviewer
--       12 step of a review or an edit, or ''
local state, deciding = unpack(redis.call('HMGET', HOLD, 'state', 'deciding'))
if not state then
  return { 'missing' }
end
if field('by:' .. ARGV[5] .. ':' .. ARGV[7]) == ARGV[3] or field('settled_by') == ARGV[3]
  or field('justified_by') == ARGV[3] or field('edited_by') == ARGV[3] then
  return { 'done' }
end
if state == 'deciding' and deciding == ARGV[3] then
  return { 'mine', field('deciding_us'), field('proposal') }
end
if state == 'deciding' then
  return { 'busy' }
end
local anew = ARGV[4] == 'ask_anew'
if anew and (state ~= 'dispatching' or field('claimant') ~= ARGV[7]) then
  return { 'closed', state }
end
if not anew and state ~= 'pending' then
  return { 'closed', state }
end
if field('version') ~= ARGV[5] or field('binding') ~= ARGV[6] then
  return { 'binding' }
end
if ARGV[4] == 'justify' and ARGV[7] ~= field('person') and ARGV[7] ~= field('principal') then
  return { 'stranger' }
end
if ARGV[4] == 'start' and not field('starts_us') then
  return { 'stranger' }
end
if ARGV[4] == 'edit' and (ARGV[7] == field('person') or ARGV[7] == field('principal')) then
  return { 'self' }
end
local over = NOW >= number('expires_us')
if ARGV[4] == 'review' then
  for _, one in ipairs({ ARGV[7], ARGV[11] }) do
    if one == field('person') or one == field('principal') then
      return { 'self' }
    end
    if field('by:' .. ARGV[5] .. ':' .. one) then
      return { 'again' }
    end
  end
end
if (ARGV[4] == 'review' or ARGV[4] == 'edit') and (field('open_step') or '1') ~= ARGV[12] then
  return { 'turn' }
end
if ARGV[4] == 'withdraw' and ARGV[7] ~= field('person') then
  return { 'stranger' }
end
if not anew and over ~= (ARGV[4] == 'expire') then
  return { over and 'late' or 'early' }
end
if anew then
  give_back(0)
  redis.call('HDEL', HOLD, 'claimant', 'lease_us')
  redis.call('ZADD', OPEN, field('expires_us'), ID)
end
redis.call('HSET', HOLD, 'deciding', ARGV[3], 'deciding_us', text(NOW), 'proposal', ARGV[8],
  'deciding_kind', ARGV[4], 'deciding_origin', ARGV[9])
move('deciding', NOW + tonumber(ARGV[10]))
return { 'mine', text(NOW), ARGV[8] }
