-- Count a decision of a reviewer, and say whether an approval has to wait.
--
-- Promises: checked and counted in one step, so that many at once are not more than one by one; the
-- same decision counts once and is let through again, because it may have been made by then; a
-- denial is counted and always let through; refused approvals are not counted.
--
-- KEYS: 1 decisions of the reviewer  2 end of their pause  3 when they were first shown the hold
-- ARGV: 1 decision id  2 '1' for an approval  3 dwell_us (0: none)  4 decisions_max  5 pause_us
--       6 an hour in us
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
local function text(number)
  return string.format('%.0f', number)
end
if redis.call('ZSCORE', KEYS[1], ARGV[1]) then
  return { 'ok' }
end
local resumes = tonumber(redis.call('GET', KEYS[2]) or '0')
if ARGV[2] == '1' then
  local dwell = tonumber(ARGV[3])
  if dwell > 0 then
    local first = tonumber(redis.call('GET', KEYS[3]) or '0')
    if first == 0 then
      return { 'unshown' }
    end
    if now < first + dwell then
      return { 'soon', text(first + dwell - now) }
    end
  end
  if now < resumes then
    return { 'paused', text(resumes - now) }
  end
  local from = math.max(resumes, now - tonumber(ARGV[6]))
  if redis.call('ZCOUNT', KEYS[1], text(from), '+inf') >= tonumber(ARGV[4]) then
    redis.call('SET', KEYS[2], text(now + tonumber(ARGV[5])), 'PX',
      text((tonumber(ARGV[5]) + tonumber(ARGV[6])) / 1000))
    return { 'paused', ARGV[5] }
  end
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', text(now - tonumber(ARGV[6])))
redis.call('ZADD', KEYS[1], text(now), ARGV[1])
redis.call('PEXPIRE', KEYS[1], text(tonumber(ARGV[6]) / 1000))
return { 'ok' }
