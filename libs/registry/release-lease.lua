--[[
  Gives a lease back, if it is still ours.

  KEYS[1] holder
  ARGV[1] owner

  Returns 1 if given back, 0 if it was not ours any more.
]]
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
