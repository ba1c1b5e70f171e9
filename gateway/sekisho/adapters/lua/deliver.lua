-- The requester has the answer: ready -> delivered, once. Later reads still find the answer.
--
-- ARGV: 3 keep_us
local state = field('state')
if state == 'delivered' then
  return { 'again' }
end
if state ~= 'ready' then
  return { 'no', state or '' }
end
close('delivered', ARGV[3])
return { 'ok' }
