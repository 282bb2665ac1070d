--[[
  Applies one batch of a journal to the books of its chain, whole or not at all.

  See Note [Apply] in apply-batch.ts: read and check everything, then write what cannot fail.

  KEYS[1..5] watermarks, totals, rejects, worker index, block index; then, as many as ARGV[1] says: identity buckets,
             pool series, worker hashes, worker series, blocks. Round keys are made from ARGV[1].roundPrefix, since the
             current round stands in totals; they carry the same hash tag.
  ARGV[1] the fold as JSON: see apply-batch.ts
  ARGV[2] shares, 36 bytes each: 12 identity, u16 bucket, u16 slot, 4 x u40 work; little-endian

  Returns {applied 0|1, watermark, counted, duplicates, change...}; a change is the JSON of a block's new state.
]]
local LIMB = 1099511627776 -- 2^40
local CHUNK = 500 -- arguments in one command: unpack() has a limit
local ENTRY = 36

local function text(number) return string.format('%.0f', number) end

local function limbs_of(hex)
  if not hex then return { 0, 0, 0, 0 } end
  if #hex > 40 or string.find(hex, '[^0-9a-f]') then error('Cannot apply batch: a sum in the books is not hex') end
  local padded = string.rep('0', 40 - #hex) .. hex
  local limbs = {}
  for i = 1, 4 do limbs[i] = tonumber(string.sub(padded, 41 - i * 10, 50 - i * 10), 16) end
  return limbs
end

local function add(sum, limbs)
  for i = 1, 4 do sum[i] = sum[i] + limbs[i] end
end

local function hex_of(limbs)
  local out, carry = {}, 0
  for i = 1, 4 do
    local value = limbs[i] + carry
    carry = math.floor(value / LIMB)
    out[5 - i] = string.format('%010x', value - carry * LIMB)
  end
  if carry > 0 then error('Cannot apply batch: a sum in the books is full') end
  return (string.gsub(table.concat(out), '^0+(.)', '%1'))
end

local function count_of(stored)
  local number = tonumber(stored or '0')
  if not number or number < 0 then error('Cannot apply batch: a count in the books is no number') end
  return number
end

-- HMGET of any number of fields, as a table by field.
local function read_hash(key, fields)
  local values = {}
  for from = 1, #fields, CHUNK do
    local to = math.min(from + CHUNK - 1, #fields)
    local reply = redis.call('HMGET', key, unpack(fields, from, to))
    for i = 1, #reply do values[fields[from + i - 1]] = reply[i] end
  end
  return values
end

local writes = {}
local function write(...) writes[#writes + 1] = { ... } end

-- HSET of a table, in a stable order and as many commands as needed.
local function write_hash(key, values)
  local fields = {}
  for field in pairs(values) do fields[#fields + 1] = field end
  if #fields == 0 then return end
  table.sort(fields)
  local args = {}
  for i, field in ipairs(fields) do
    args[#args + 1] = field
    args[#args + 1] = values[field]
    if #args >= CHUNK or i == #fields then
      write('HSET', key, unpack(args))
      args = {}
    end
  end
end

local batch = cjson.decode(ARGV[1])
local WATERMARKS, TOTALS, REJECTS, WORKERS, BLOCKS = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local bucket_base = 5
local pool_series_base = bucket_base + batch.buckets
local worker_base = pool_series_base + #batch.poolSeries
local worker_series_base = worker_base + #batch.workers
local block_base = worker_series_base + #batch.workerSeries

-- The watermark decides before anything else.
local watermark = count_of(redis.call('HGET', WATERMARKS, batch.journal))
if watermark ~= batch.from then return { 0, watermark, 0, 0 } end
write('HSET', WATERMARKS, batch.journal, text(batch.to))

-- Identities: known ones are duplicates, also within the batch.
local shares = #ARGV[2] / ENTRY
local ids, fresh, seen = {}, {}, {}
for b = 1, batch.buckets do ids[b], fresh[b], seen[b] = {}, {}, {} end
for i = 0, shares - 1 do
  local id, b = struct.unpack('<c12I2', ARGV[2], i * ENTRY + 1)
  ids[b + 1][#ids[b + 1] + 1] = id
end
for b = 1, batch.buckets do
  for from = 1, #ids[b], CHUNK do
    local to = math.min(from + CHUNK - 1, #ids[b])
    local reply = redis.call('SMISMEMBER', KEYS[bucket_base + b], unpack(ids[b], from, to))
    for i = 1, #reply do
      if reply[i] == 1 then seen[b][ids[b][from + i - 1]] = true end
    end
  end
end

local slot_work, slot_count = {}, {}
for s = 1, #batch.slots do slot_work[s], slot_count[s] = { 0, 0, 0, 0 }, 0 end
local counted = 0
for i = 0, shares - 1 do
  local id, b, s, w1, w2, w3, w4 = struct.unpack('<c12I2I2I5I5I5I5', ARGV[2], i * ENTRY + 1)
  b, s = b + 1, s + 1
  if not seen[b][id] then
    seen[b][id] = true
    fresh[b][#fresh[b] + 1] = id
    counted = counted + 1
    slot_count[s] = slot_count[s] + 1
    add(slot_work[s], { w1, w2, w3, w4 })
  end
end
for b = 1, batch.buckets do
  local key = KEYS[bucket_base + b]
  for from = 1, #fresh[b], CHUNK do
    write('SADD', key, unpack(fresh[b], from, math.min(from + CHUNK - 1, #fresh[b])))
  end
  if #fresh[b] > 0 then write('EXPIRE', key, batch.bucketTtl) end
end

-- Work by worker, by minute, by address of the round.
local pool, solo = { work = { 0, 0, 0, 0 }, count = 0 }, { work = { 0, 0, 0, 0 }, count = 0 }
local by_worker, by_user, users = {}, {}, {}
local by_worker_series, by_pool_series = {}, {}
local function add_minute(series, index, field, work)
  series[index] = series[index] or {}
  series[index][field] = series[index][field] or { 0, 0, 0, 0 }
  add(series[index][field], work)
end
for s, slot in ipairs(batch.slots) do
  if slot_count[s] > 0 then
    local w = slot.worker + 1
    local worker = by_worker[w] or { work = { 0, 0, 0, 0 }, count = 0 }
    by_worker[w] = worker
    worker.count = worker.count + slot_count[s]
    add(worker.work, slot_work[s])
    local total = slot.solo and solo or pool
    total.count = total.count + slot_count[s]
    add(total.work, slot_work[s])
    if not slot.solo then
      local user = batch.workers[w].user
      if not by_user[user] then
        by_user[user] = { 0, 0, 0, 0 }
        users[#users + 1] = user
      end
      add(by_user[user], slot_work[s])
    end
    add_minute(by_worker_series, slot.workerSeries + 1, slot.minute, slot_work[s])
    add_minute(by_pool_series, slot.poolSeries + 1, slot.minute, slot_work[s])
  end
end

local function apply_series(series, base, expiries)
  for index, minutes in pairs(series) do
    local key, fields = KEYS[base + index], {}
    for field in pairs(minutes) do fields[#fields + 1] = field end
    local stored, values = read_hash(key, fields), {}
    for field, work in pairs(minutes) do
      add(work, limbs_of(stored[field]))
      values[field] = hex_of(work)
    end
    write_hash(key, values)
    write('EXPIREAT', key, expiries[index])
  end
end
apply_series(by_worker_series, worker_series_base, batch.workerSeries)
apply_series(by_pool_series, pool_series_base, batch.poolSeries)

-- Workers: sums of their own, the last share, the best one, rejects by reason.
local best, last, rejects = nil, nil, {}
for w, worker in ipairs(batch.workers) do
  local key = KEYS[worker_base + w]
  local fields = { 'work', 'shares', 'best', 'lastMs', 'firstMs' }
  for _, reject in ipairs(worker.rejects) do fields[#fields + 1] = 'rejected:' .. reject[1] end
  local stored, values = read_hash(key, fields), {}
  local sum = by_worker[w]
  local shares_before = count_of(stored['shares'])
  if sum then
    add(sum.work, limbs_of(stored['work']))
    values['work'] = hex_of(sum.work)
    values['shares'] = text(shares_before + sum.count)
  end
  if worker.hasShares then
    if not stored['firstMs'] then values['firstMs'] = worker.lastMs end
    if count_of(stored['lastMs']) <= tonumber(worker.lastMs) then
      values['lastMs'] = worker.lastMs
      values['lastDifficulty'] = worker.lastDifficulty
    end
    if count_of(stored['best']) < tonumber(worker.best) then
      values['best'] = worker.best
      values['bestMs'] = worker.bestMs
    end
    if not best or tonumber(best.best) < tonumber(worker.best) then best = worker end
    if not last or tonumber(last.lastMs) <= tonumber(worker.lastMs) then last = worker end
    local score = redis.call('ZSCORE', WORKERS, worker.name)
    if not score or tonumber(score) < tonumber(worker.lastMs) then
      write('ZADD', WORKERS, worker.lastMs, worker.name)
    end
  end
  for _, reject in ipairs(worker.rejects) do
    local field = 'rejected:' .. reject[1]
    values[field] = text(count_of(stored[field]) + reject[2])
    rejects[reject[1]] = (rejects[reject[1]] or 0) + reject[2]
  end
  write_hash(key, values)
  -- Who never had a share accepted leaves soon, so that made-up names cost nothing for long.
  local has_shares = sum or worker.hasShares or shares_before > 0
  write('EXPIRE', key, has_shares and batch.workerTtl or batch.strangerTtl)
end
redis.call('ZCARD', WORKERS)
write('ZREMRANGEBYSCORE', WORKERS, '-inf', batch.workersBefore)

local reasons = {}
for reason in pairs(rejects) do reasons[#reasons + 1] = reason end
local stored_rejects = read_hash(REJECTS, reasons)
for reason, count in pairs(rejects) do rejects[reason] = text(count_of(stored_rejects[reason]) + count) end
write_hash(REJECTS, rejects)

-- Totals, and the round that is open now.
local totals = read_hash(TOTALS, { 'round', 'work', 'shares', 'soloWork', 'soloShares', 'duplicates', 'lost',
  'best', 'lastMs', 'firstMs' })
local round_id = math.max(1, count_of(totals['round']))
local values = {}
local function round_key(id) return batch.roundPrefix .. text(id) end
local round_fields = { 'startMs', 'work', 'shares', 'best' }
local round = read_hash(round_key(round_id), round_fields)
local round_values = {}
if not round['startMs'] then round_values['startMs'] = batch.now end

if pool.count > 0 then
  local total = limbs_of(totals['work'])
  add(total, pool.work)
  values['work'] = hex_of(total)
  values['shares'] = text(count_of(totals['shares']) + pool.count)
  local in_round = limbs_of(round['work'])
  add(in_round, pool.work)
  round_values['work'] = hex_of(in_round)
  round_values['shares'] = text(count_of(round['shares']) + pool.count)
  local users_key = round_key(round_id) .. ':users'
  local stored, sums = read_hash(users_key, users), {}
  for user, work in pairs(by_user) do
    add(work, limbs_of(stored[user]))
    sums[user] = hex_of(work)
  end
  write_hash(users_key, sums)
end
if solo.count > 0 then
  local total = limbs_of(totals['soloWork'])
  add(total, solo.work)
  values['soloWork'] = hex_of(total)
  values['soloShares'] = text(count_of(totals['soloShares']) + solo.count)
end
if shares > counted then values['duplicates'] = text(count_of(totals['duplicates']) + shares - counted) end
if batch.lost > 0 then values['lost'] = text(count_of(totals['lost']) + batch.lost) end
if best then
  if count_of(totals['best']) < tonumber(best.best) then
    values['best'], values['bestMs'], values['bestWorker'] = best.best, best.bestMs, best.name
  end
  if count_of(round['best']) < tonumber(best.best) then round_values['best'] = best.best end
end
if last then
  if not totals['firstMs'] then values['firstMs'] = last.lastMs end
  if count_of(totals['lastMs']) <= tonumber(last.lastMs) then
    values['lastMs'], values['lastWorker'] = last.lastMs, last.name
  end
end

-- Blocks, each once by its hash. An acceptance is never taken back here, and the first one closes the round.
local RANK = { submitted = 1, rejected = 2, accepted = 3, mature = 4, orphaned = 4 }
local changes = {}
local round_work = round_values['work'] or round['work'] or '0'
local function close_round(block_hash)
  round_values['endMs'], round_values['block'] = batch.now, block_hash
  local key = round_key(round_id)
  write_hash(key, round_values)
  write('EXPIRE', key, batch.roundTtl)
  write('EXPIRE', key .. ':users', batch.roundTtl)
  round_id = round_id + 1
  redis.call('HGET', round_key(round_id), 'startMs')
  round_values, round_work = { startMs = batch.now }, '0'
end
for b, block in ipairs(batch.blocks) do
  local key = KEYS[block_base + b]
  local stored = read_hash(key, { 'state', 'mode', 'height', 'timeMs', 'round' })
  local before, now = RANK[stored['state'] or ''] or 0, nil
  local facts = {}
  if block.mode and not stored['mode'] then facts['mode'] = block.mode end
  if block.found and not stored['timeMs'] then
    for field, value in pairs(block.found) do facts[field] = value end
  end
  if block.settled and before < RANK[block.settled.state] then
    now = block.settled.state
    facts['settledMs'], facts['reason'] = block.settled.timeMs, block.settled.reason
  elseif block.found and before == 0 then
    now = 'submitted'
  end
  if now then
    facts['state'] = now
    local score = redis.call('ZSCORE', BLOCKS, block.hash)
    if not score or (block.found and not stored['timeMs']) then
      write('ZADD', BLOCKS, block.found and block.found.timeMs or block.settled.timeMs, block.hash)
    end
    local mode = stored['mode'] or block.mode or 'pool'
    if now == 'accepted' and mode == 'pool' then
      facts['round'] = text(round_id)
      facts['roundWork'] = round_work
      close_round(block.hash)
    end
    changes[#changes + 1] = cjson.encode({
      hash = block.hash,
      state = now,
      height = tonumber(stored['height'] or (block.found and block.found.height) or 0),
      reason = facts['reason'] or '',
    })
  end
  write_hash(key, facts)
end
write_hash(round_key(round_id), round_values)
values['round'] = text(round_id)
write_hash(TOTALS, values)

-- Nothing below can fail. See Note [Apply].
for _, command in ipairs(writes) do redis.call(unpack(command)) end
return { 1, batch.to, counted, shares - counted, unpack(changes) }
