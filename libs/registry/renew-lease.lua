--[[
  Extends a lease that is still ours.

  KEYS[1] holder
  ARGV[1] owner  ARGV[2] ttl [ms]

  Returns 1 if extended, 0 if it is lost.
]]
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
