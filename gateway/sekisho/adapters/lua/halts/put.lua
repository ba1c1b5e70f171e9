-- Write what a ledger says of one switch, unless something later is there already.
--
-- Promises: what is there is replaced only by what a later event of the same ledger says, so a late
-- or repeated write never sets again what was lifted. What cannot be read is replaced; with `force`
-- anything is, for a switch that is not what its own ledger says.
--
-- KEYS: 1 the switches
-- ARGV: 1 id  2 the switch  3 index of the last event about it  4 '1' to force
local there = redis.call('HGET', KEYS[1], ARGV[1])
if there and ARGV[4] ~= '1' then
  local readable, known = pcall(cjson.decode, there)
  if readable and type(known) == 'table' and type(known.last) == 'number'
    and known.last >= tonumber(ARGV[3]) then
    return 0
  end
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1
