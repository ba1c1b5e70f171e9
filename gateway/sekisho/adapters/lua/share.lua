-- What of the store one principal has: a hash of the ids of holds that have not ended, with their
-- bytes, and all of these together under `bytes`. Stands in front of the prelude.
--
-- Promises: to take twice is to take once, and so is to leave; what is left is what was taken.
--
-- KEYS[1] is `applied`, ARGV[1] the hold's id
local LIVE = { pending = true, deciding = true, approved = true, dispatching = true }

local function share_of(principal)
  return string.match(KEYS[1], '^(.*):applied$') .. ':share:' .. principal
end

local function take_share(principal, bytes)
  if redis.call('HSETNX', share_of(principal), ARGV[1], bytes) == 1 then
    redis.call('HINCRBY', share_of(principal), 'bytes', bytes)
  end
end

local function leave_share(principal)
  local bytes = redis.call('HGET', share_of(principal), ARGV[1])
  if bytes then
    redis.call('HDEL', share_of(principal), ARGV[1])
    redis.call('HINCRBY', share_of(principal), 'bytes', '-' .. bytes)
    if redis.call('HLEN', share_of(principal)) == 1 then
      redis.call('DEL', share_of(principal))
    end
  end
end
