-- Read fields of a hold, with its reviews if asked. Behind the same gate as every change, so that
-- nobody sees a hold as missing or pending only because the store has just restarted. Says when.
--
-- ARGV: 3 '1' for the reviews too  4.. field names
local values = redis.call('HMGET', HOLD, unpack(ARGV, 4))
local reviews = {}
if ARGV[3] == '1' then
  for place = 1, number('reviews') do
    reviews[place] = field('review:' .. place)
  end
end
return { values, reviews, text(NOW) }
