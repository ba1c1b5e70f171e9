-- Lease units of any number of counters to one worker, and take note of what it holds.
--
-- Promises: a worker says what it has claimed in all (`claim`: used, set aside and free), never a
-- difference, so a call whose reply was lost changes nothing when it is made again; an older call
-- that arrives late is told by its number and ignored. Nothing is granted beyond a limit. A counter
-- that is not there begins with what the ledger says was used (`init_*`), or with nothing if this
-- run of the store began before the counter's minute did. Time and windows are the server's own.
--
-- KEYS: 1 the run  2.. one counter each
-- ARGV: 1 the run the worker knows  2 worker  3 number of the call  4 ledger  5 epoch for new
--   counters  6 lease of places, us  7 lease share  8 JSON: for each counter
--   [kind, start, epoch, claim, free, need, least, limit, init_start, init_base, init_size, fold]
-- A counter is a hash: r run, e epoch, w start of its window, o units given out, s:<ledger> size of
-- the ledger that its beginning covers, c:<worker> "claim|call|until". Counters of an earlier run
-- are made anew; places are not, since every holder renews them or loses them.

local run = redis.call('GET', KEYS[1])
if run ~= ARGV[1] then
  return { 'run', run or '' }
end

local clock = redis.call('TIME')
local NOW = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
local RUN_BEGAN = tonumber(string.match(run, ':(%d+)$'))
local CELL, CALL, SIZE = 'c:' .. ARGV[2], tonumber(ARGV[3]), 's:' .. ARGV[4]
local LEASE_US, SHARE = tonumber(ARGV[6]), tonumber(ARGV[7])
local AHEAD, AHEAD_PART = 8, 8
local MINUTE, DAY = 60000000, 86400000000

-- Lua would print large numbers as 1.7e+15.
local function text(number)
  return string.format('%.0f', number)
end

-- The first day of the month that `days` since 1970 lie in (proleptic Gregorian calendar).
local function month_of(days)
  local z = days + 719468
  local doe = z % 146097
  local yoe = math.floor(
    (doe - math.floor(doe / 1460) + math.floor(doe / 36524) - math.floor(doe / 146096)) / 365
  )
  local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
  local mp = math.floor((5 * doy + 2) / 153)
  return days - (doy - math.floor((153 * mp + 2) / 5))
end

local function window(kind)
  if kind == 'm' then
    local start = NOW - NOW % MINUTE
    return start, start + MINUTE
  elseif kind == 'd' then
    local start = NOW - NOW % DAY
    return start, start + DAY
  elseif kind == 'M' then
    local first = month_of(math.floor(NOW / DAY))
    return first * DAY, month_of(first + 32) * DAY
  end
  return 0, NOW + LEASE_US
end

local function parts(cell)
  local claim, call, till = string.match(cell or '', '^(%d+)|(%d+)|(%d+)$')
  return tonumber(claim or '0'), tonumber(call or '0'), tonumber(till or '0')
end

-- Places of workers that did not renew them are free again.
local function others_hold(key)
  local held, all = 0, redis.call('HGETALL', key)
  for i = 1, #all, 2 do
    if string.sub(all[i], 1, 2) == 'c:' and all[i] ~= CELL then
      local claim, _, till = parts(all[i + 1])
      if till < NOW then
        redis.call('HDEL', key, all[i])
      else
        held = held + claim
      end
    end
  end
  return held
end

-- A batch: what is needed, or more where there is plenty: 1/SHARE of what is left, or what some
-- more exchanges like this one need, if that is a small part of what is left.
local function grant_of(need, least, free, left, ahead)
  local want = need - free
  if want <= 0 or left <= 0 then
    return 0
  elseif left >= want then
    local some_more = math.min(ahead * least, math.floor(left / AHEAD_PART))
    return math.min(math.max(want, math.floor(left / SHARE), some_more), left)
  elseif left >= least - free then
    return left
  end
  return 0
end

local function serve(key, ask)
  local kind, start, epoch, claim, free, need, least, limit, i_start, i_base, i_size, fold =
    unpack(ask)
  local begins, ends = window(kind)
  local is_place = kind == 'p'
  local has = redis.call('HMGET', key, 'e', 'w', 'o', SIZE, CELL, 'r')
  local its, out, size, cell = has[1], tonumber(has[3] or '0'), has[4], has[5]
  if not its or tonumber(has[2]) ~= begins or has[6] ~= run and not is_place then
    redis.call('DEL', key)
    its, out, size, cell = ARGV[5], 0, false, false
  end
  if not size then
    if is_place or RUN_BEGAN <= begins and kind == 'm' then
      size = '0'
    elseif i_start == begins then
      size, out = text(i_size), out + i_base
    else
      return { 'absent', text(begins) }
    end
  end
  local before, call = parts(cell)
  if CALL <= call then
    return { 'stale' }
  end
  if is_place then
    out = others_hold(key)
  else
    if its ~= epoch or begins ~= start then
      claim, free = 0, 0
    end
    out = out - before
  end
  local left = limit - out - claim
  local grant = grant_of(need, least, free, left, is_place and 0 or AHEAD)
  local now_out = out + claim + grant
  redis.call('HSET', key, 'e', its, 'w', text(begins), 'o', text(now_out), SIZE, size, 'r', run)
  if fold == 1 then
    redis.call('HDEL', key, CELL)
  else
    local till = is_place and ends or 0
    redis.call('HSET', key, CELL, text(claim + grant) .. '|' .. ARGV[3] .. '|' .. text(till))
  end
  redis.call('PEXPIREAT', key, text(math.floor((ends + MINUTE) / 1000)))
  return { 'ok', its, text(begins), text(ends), text(grant), text(left - grant), size }
end

local reply = { 'ok', text(NOW) }
for i, ask in ipairs(cjson.decode(ARGV[8])) do
  reply[i + 2] = serve(KEYS[i + 1], ask)
end
return reply
