-- Bring one hold to what the ledger says of it. Runs while the store is closed to everyone, and
-- later for a single hold; so it is the one script without the gate, and every step is monotone.
--
-- Promises, by what is found here:
--   nothing          the hold is built as the ledger has it
--   before the end   reviews, the reason and the outcome that the ledger has are added
--   deciding         a proposal the ledger does not have yet stays: its finisher appends it again
--                    under the same event ids; also a version that is asked for instead of an
--                    approval that the ledger has
--   approved         before `snapshot_us`, but not in the ledger: pending again
--   sent or ended    nothing changes; a live lease is for `lose` to judge
--
-- KEYS: 2 due  3 open  4 bytes  5 filing  6 the hold  7 the join pointer (unused)
--       8 holds to tell of
-- ARGV: 1 id  2 channel  3 snapshot_us  4 state by the ledger  5 bytes  6 expires_us  7 keep_us
--       8 execute_until_us  9 settled_by  10 origin  11 index  12 outcome  13 version
--       14 decision id of the justification  15 justification (sealed) or ''
--       16 the step that is open by the ledger
--       17 number of reviews, then for each: person, reviewer, decision id, review (sealed);
--          then fields
local DUE, OPEN, BYTES, FILING, HOLD = KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local ID, CHANNEL, SAID = ARGV[1], ARGV[2], ARGV[4]
local clock = redis.call('TIME')
local NOW = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
local function text(number)
  return string.format('%.0f', number)
end

local reviews_end = 17 + 4 * tonumber(ARGV[17])
local state = redis.call('HGET', HOLD, 'state')
if not state then
  redis.call('INCRBY', BYTES, ARGV[5])
  redis.call('HSET', HOLD, unpack(ARGV, reviews_end + 1))
  redis.call('HSET', HOLD, 'hops', 0, 'reviews', 0, 'bytes', ARGV[5])
  for _, member in ipairs(redis.call('ZRANGE', FILING, 0, -1)) do
    if string.sub(member, 1, #ID + 1) == ID .. '|' then
      redis.call('ZREM', FILING, member)
      redis.call('DECRBY', BYTES, ARGV[5])
    end
  end
end

-- The ledger has a later version of what is held: nothing said of the one before counts, and nothing
-- can be sent under it.
local version = redis.call('HGET', HOLD, 'version')
local behind = { pending = true, deciding = true, approved = true, dispatching = true }
if state and tonumber(version) < tonumber(ARGV[13]) and behind[state] then
  redis.call('DECRBY', BYTES, redis.call('HGET', HOLD, 'aside') or '0')
  redis.call('HDEL', HOLD, 'aside', 'claimant', 'lease_us', 'settled_by', 'settled_us',
    'settled_origin', 'settled_index', 'execute_until_us')
  redis.call('INCRBY', BYTES, text(tonumber(ARGV[5]) - tonumber(redis.call('HGET', HOLD, 'bytes'))))
  redis.call('HDEL', HOLD, 'deciding', 'deciding_us', 'deciding_origin', 'deciding_kind',
    'proposal')
  redis.call('HSET', HOLD, 'reviews', 0, 'bytes', ARGV[5], unpack(ARGV, reviews_end + 1))
  redis.call('HSET', HOLD, 'state', 'pending')
  redis.call('ZADD', OPEN, ARGV[6], ID)
  redis.call('ZADD', DUE, ARGV[6], ID)
  state, version = 'pending', ARGV[13]
end
for at = 18, reviews_end, 4 do
  local seat, own = 'by:' .. ARGV[13] .. ':' .. ARGV[at], 'by:' .. ARGV[13] .. ':' .. ARGV[at + 1]
  local under_way = SAID == 'pending' and redis.call('HGET', HOLD, 'deciding') == ARGV[at + 2]
  if not under_way and version == ARGV[13]
    and redis.call('HSETNX', HOLD, seat, ARGV[at + 2]) == 1 then
    local place = redis.call('HINCRBY', HOLD, 'reviews', 1)
    redis.call('HSET', HOLD, 'review:' .. place, ARGV[at + 3], own, ARGV[at + 2])
  end
end
-- As many reviews are the same ones: whatever stood here, the ledger says which step they open.
if version == ARGV[13] and redis.call('HGET', HOLD, 'reviews') == ARGV[17] or not state then
  redis.call('HSET', HOLD, 'open_step', ARGV[16])
end

local saying = SAID == 'pending' and redis.call('HGET', HOLD, 'deciding') == ARGV[14]
if ARGV[15] ~= '' and not saying and version == ARGV[13]
  and redis.call('HSETNX', HOLD, 'justified_by', ARGV[14]) == 1 then
  redis.call('HSET', HOLD, 'justification', ARGV[15])
end

local settled_us = tonumber(redis.call('HGET', HOLD, 'settled_us') or '0')
local goal = SAID
local anew = redis.call('HGET', HOLD, 'deciding_kind') == 'ask_anew' and version == ARGV[13]
if state == 'deciding' and (SAID == 'pending' or (anew and SAID == 'approved')) then
  goal = 'deciding'
elseif state == 'approved' and SAID == 'pending' and settled_us >= tonumber(ARGV[3]) then
  goal = 'approved'
elseif state and state ~= 'pending' and state ~= 'deciding' and state ~= 'approved' then
  goal = state
end
redis.call('ZADD', KEYS[8], text(NOW), ID)
if LIVE[goal] then
  take_share(redis.call('HGET', HOLD, 'principal'), ARGV[5])
else
  leave_share(redis.call('HGET', HOLD, 'principal'))
end
if goal == state then
  return { 'kept', goal }
end

redis.call('HSET', HOLD, 'state', goal)
redis.call('ZREM', OPEN, ID)
if goal == 'pending' then
  redis.call('HDEL', HOLD, 'settled_by', 'settled_us', 'execute_until_us')
  redis.call('ZADD', OPEN, ARGV[6], ID)
  redis.call('ZADD', DUE, redis.call('HGET', HOLD, 'starts_us') or ARGV[6], ID)
else
  redis.call('HDEL', HOLD, 'deciding', 'deciding_us', 'deciding_origin', 'deciding_kind',
    'proposal')
  redis.call('HSET', HOLD, 'settled_by', ARGV[9], 'settled_us', text(NOW), 'settled_origin', ARGV[10],
    'settled_index', ARGV[11])
  if goal == 'approved' then
    redis.call('HSET', HOLD, 'execute_until_us', ARGV[8])
    redis.call('ZADD', DUE, text(NOW), ID)
  else
    redis.call('HSET', HOLD, 'closed_us', text(NOW), 'outcome', ARGV[12])
    redis.call('ZADD', DUE, text(NOW + tonumber(ARGV[7])), ID)
  end
end
redis.call('PUBLISH', CHANNEL, ID)
return { 'moved', goal }
