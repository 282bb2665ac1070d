--[[
  Writes an instance's record and gives it its TTL. A process that slept through its own replacement does not overwrite
  the record of the one that has its name now, and an older write that arrives late does not undo a newer one.

  KEYS[1] record   the hash, one JSON value a field
  KEYS[2] index    set of all records' keys
  KEYS[3] version  grows when there is something new to read
  ARGV[1] bootId   (JSON)
  ARGV[2] startedMs
  ARGV[3] revision of this boot
  ARGV[4] ttl      [ms]
  ARGV[5] '1' if others should read it at once, '0' for a renewal or new load figures
  ARGV[6..] field, value, …

  Returns 1 if written, 0 if a younger process has the name.
]]
local boot = redis.call('HGET', KEYS[1], 'bootId')
local isSame = boot == ARGV[1]
if boot and not isSame and tonumber(redis.call('HGET', KEYS[1], 'startedMs') or '0') > tonumber(ARGV[2]) then return 0 end
if isSame and tonumber(redis.call('HGET', KEYS[1], 'revision') or '0') > tonumber(ARGV[3]) then return 1 end
if boot and not isSame then redis.call('DEL', KEYS[1]) end
redis.call('HSET', KEYS[1], unpack(ARGV, 6))
redis.call('PEXPIRE', KEYS[1], ARGV[4])
local isNew = redis.call('SADD', KEYS[2], KEYS[1]) == 1
if isNew or not isSame or ARGV[5] == '1' then redis.call('INCR', KEYS[3]) end
return 1
