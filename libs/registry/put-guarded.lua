--[[
  Writes a value only for the newest lease holder. See Note [Fencing] in lease-store.ts.

  KEYS[1] guard  highest token that may write (no TTL)
  KEYS[2] value  the key to write
  ARGV[1] token  fencing token of the caller's lease
  ARGV[2] value  bytes to store

  Returns 1 if written, 0 if a newer token was seen.
]]
local newest = tonumber(redis.call('GET', KEYS[1]) or '0')
if tonumber(ARGV[1]) < newest then return 0 end
redis.call('SET', KEYS[1], ARGV[1])
redis.call('SET', KEYS[2], ARGV[2])
return 1
