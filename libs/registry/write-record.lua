--[[
  Writes an instance's record and gives it its TTL. A process that slept through its own replacement does not overwrite
  the record of the one that has its name now.

  KEYS[1] record  KEYS[2] index
  ARGV[1] bootId (JSON)  ARGV[2] startedMs  ARGV[3] ttl [ms]  ARGV[4..] field, value, …

  Returns 1 if written, 0 if a younger process has the name.
]]
local boot = redis.call('HGET', KEYS[1], 'bootId')
if boot and boot ~= ARGV[1] and tonumber(redis.call('HGET', KEYS[1], 'startedMs')) > tonumber(ARGV[2]) then return 0 end
redis.call('HSET', KEYS[1], unpack(ARGV, 4))
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('SADD', KEYS[2], KEYS[1])
return 1
