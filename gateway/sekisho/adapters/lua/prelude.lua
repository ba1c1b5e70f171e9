-- Stands in front of every script of the hold store.
--
-- Promises: a script runs only if the ledger was applied to this server since it began (the key
-- `applied`, and the script itself being loaded: see docs/adr/0003-hold-store-restart.md); time is
-- the server's own; an index entry exists for every hold, so that no hold is forgotten.
--
-- KEYS: 1 applied  2 due  3 open  4 bytes  5 filing  6 the hold  7 the join pointer  8 tell
-- `due`  scores each hold with the time at which something has to be done about it
-- `open` scores pending and deciding holds with their expiry, for the reviewers' list
-- `tell` scores each hold with the time at which somebody may have to be told of it
-- ARGV[1] is always the hold's id, ARGV[2] the channel for wake-ups.

if redis.call('EXISTS', KEYS[1]) == 0 then
  return redis.error_reply('GATE the ledger was not applied to this store')
end

local APPLIED, DUE, OPEN, BYTES, FILING, HOLD, JOIN, TELL = unpack(KEYS)
local ID, CHANNEL = ARGV[1], ARGV[2]

-- Microseconds stay exact in a double until the year 2255.
local clock = redis.call('TIME')
local NOW = tonumber(clock[1]) * 1000000 + tonumber(clock[2])

-- Lua would print large numbers as 1.7e+15.
local function text(number)
  return string.format('%.0f', number)
end

local function field(name)
  return redis.call('HGET', HOLD, name)
end

local function number(name)
  return tonumber(field(name) or '0')
end

-- When something is to be done about a pending hold: what nobody has to answer starts at once.
local function pending_due()
  return tonumber(field('starts_us') or field('expires_us'))
end

-- A new state, the time when it is due again, a hint to whoever waits, and a note for whoever tells
-- people about it.
local function move(state, due_us)
  redis.call('HSET', HOLD, 'state', state)
  redis.call('ZADD', DUE, text(due_us), ID)
  if state ~= 'pending' and state ~= 'deciding' then
    redis.call('ZREM', OPEN, ID)
  end
  if not LIVE[state] then
    leave_share(field('principal'))
  end
  redis.call('ZADD', TELL, text(NOW), ID)
  redis.call('PUBLISH', CHANNEL, ID)
end

-- The end of a hold: nothing changes after it but delivery; it is kept for `keep_us`.
local function close(state, keep_us)
  redis.call('HSET', HOLD, 'closed_us', text(NOW))
  move(state, NOW + tonumber(keep_us))
end

-- Give back what was set aside for an answer, less what is now kept of it.
local function give_back(kept_bytes)
  local aside = number('aside')
  redis.call('INCRBY', BYTES, text(kept_bytes - aside))
  redis.call('HINCRBY', HOLD, 'bytes', text(kept_bytes))
  redis.call('HDEL', HOLD, 'aside')
end
