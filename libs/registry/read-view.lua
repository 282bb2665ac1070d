--[[
  Reads all records in one go, and what tells one store from another, which is made where there is none.
  Index entries whose record is gone are removed.

  KEYS[1] index
  KEYS[2] generation
  KEYS[3] version
  ARGV[1] the generation to set if there is none
  ARGV[2] how many records to return at most

  Returns { generation, version, records left out, { field, value, … }, { … }, … }.
]]
redis.call('SET', KEYS[2], ARGV[1], 'NX')
local view = { redis.call('GET', KEYS[2]), redis.call('GET', KEYS[3]) or '0', 0 }
local max = tonumber(ARGV[2])
for _, key in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  local record = redis.call('HGETALL', key)
  if #record == 0 then redis.call('SREM', KEYS[1], key)
  elseif #view - 3 < max then view[#view + 1] = record
  else view[3] = view[3] + 1 end
end
return view
