--[[
  Takes a lease if nobody holds it, with a fencing token that only grows. See Note [Fencing] in lease-store.ts.

  KEYS[1] holder  who holds it (TTL: the lease)
  KEYS[2] token   the last token given (no TTL)
  KEYS[3] guard   the highest token that may write (no TTL)
  ARGV[1] owner   random name of this attempt
  ARGV[2] ttl     [ms]

  Returns the token as a decimal string, or false if somebody holds the lease.
]]
if redis.call('EXISTS', KEYS[1]) == 1 then return false end
local time = redis.call('TIME')
local clock = tonumber(time[1]) * 1000000 + tonumber(time[2])
local last = math.max(tonumber(redis.call('GET', KEYS[2]) or '0'), tonumber(redis.call('GET', KEYS[3]) or '0'))
local token = string.format('%.0f', math.max(last + 1, clock))
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('SET', KEYS[2], token)
redis.call('SET', KEYS[3], token)
return token
