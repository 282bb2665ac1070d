--[[
  Reads all records in one go, and the store's generation, which is made where there is none.

  KEYS[1] index  KEYS[2] generation
  ARGV[1] the generation to set if there is none

  Returns { generation, { field, value, … }, { … }, … }. Index entries whose record is gone are removed.
]]
redis.call('SET', KEYS[2], ARGV[1], 'NX')
local view = { redis.call('GET', KEYS[2]) }
for _, key in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  local record = redis.call('HGETALL', key)
  if #record == 0 then redis.call('SREM', KEYS[1], key) else view[#view + 1] = record end
end
return view
