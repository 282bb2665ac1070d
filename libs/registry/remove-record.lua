--[[
  Removes an instance's record, if it is still of the same boot.

  KEYS[1] record
  KEYS[2] index
  KEYS[3] version
  ARGV[1] bootId (JSON)

  Returns 1 if removed, 0 if it was gone or of another boot.
]]
if redis.call('HGET', KEYS[1], 'bootId') ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('SREM', KEYS[2], KEYS[1])
redis.call('INCR', KEYS[3])
return 1
