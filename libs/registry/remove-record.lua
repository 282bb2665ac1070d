--[[
  Removes an instance's record, if it is still of the same boot.

  KEYS[1] record  KEYS[2] index
  ARGV[1] bootId (JSON)
]]
if redis.call('HGET', KEYS[1], 'bootId') ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
return redis.call('SREM', KEYS[2], KEYS[1])
