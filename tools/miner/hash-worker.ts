/** The thread that hashes: any number of slots, each at its own pace. Sockets stay on the main thread. */
import { parentPort } from 'node:worker_threads';
import type { FromHasher, ToHasher } from './hash-messages.ts';
import { type Algorithm, powOf } from './hashing.ts';

/** [ms] between rounds of throttled slots */
const ROUND_MS = 10;
/** [ms] a slot may hash before messages are looked at */
const SLICE_MS = 10;
/** [ms] of missed hashing that is made up for, after a pause of the machine */
const CATCH_UP_MS = 200;
/** [ms] between reports of hashes */
const REPORT_MS = 500;
/** Finds of one slot in one round: on a chain where every hash is a share, the socket is the limit. */
const FINDS_PER_ROUND = 16;
const NONCE_OFFSET = 76;
const NONCES = 2 ** 32;

interface Slot {
  readonly algorithm: Algorithm;
  /** Infinity: as fast as it goes */
  readonly hashrateHps: number;
  work: Work | undefined;
  /** [hashes] that may be done now */
  credit: number;
  hashes: number;
}

interface Work {
  readonly generation: number;
  readonly header: Buffer;
  readonly target: Buffer;
  nonce: number;
  left: number;
}

const slots = new Map<number, Slot>();
let lastRoundMs = performance.now();
let lastReportMs = performance.now();

function receive(message: ToHasher): void {
  switch (message.kind) {
    case 'open': {
      const { algorithm, hashrateHps } = message;
      slots.set(message.slot, { algorithm, hashrateHps, work: undefined, credit: 0, hashes: 0 });
      return;
    }
    case 'work': {
      const slot = slots.get(message.slot);
      const header = Buffer.from(message.header);
      const target = Buffer.from(message.target);
      const nonce = header.readUInt32LE(NONCE_OFFSET);
      if (slot !== undefined)
        slot.work = { generation: message.generation, header, target, nonce, left: NONCES };
      return;
    }
    case 'idle': {
      const slot = slots.get(message.slot);
      if (slot !== undefined) slot.work = undefined;
      report(performance.now());
      return;
    }
    case 'close':
      slots.delete(message.slot);
  }
}

function round(): void {
  const nowMs = performance.now();
  const elapsedMs = Math.min(nowMs - lastRoundMs, CATCH_UP_MS);
  lastRoundMs = nowMs;
  let isUnlimited = false;
  for (const [id, slot] of slots) {
    const earned =
      slot.hashrateHps === Infinity
        ? Infinity
        : slot.credit + (slot.hashrateHps * elapsedMs) / 1000;
    slot.credit = slot.work === undefined ? 0 : mine(id, slot, slot.work, earned);
    isUnlimited ||= slot.work !== undefined && slot.hashrateHps === Infinity;
  }
  if (nowMs - lastReportMs >= REPORT_MS) report(nowMs);
  if (isUnlimited) setImmediate(round);
  else setTimeout(round, ROUND_MS);
}

/** Hashes up to `credit`, a time slice, or enough finds; gives back what is left of the credit. */
function mine(id: number, slot: Slot, work: Work, credit: number): number {
  const endMs = performance.now() + SLICE_MS;
  let left = credit;
  let finds = 0;
  while (left >= 1 && work.left > 0 && finds < FINDS_PER_ROUND) {
    work.header.writeUInt32LE(work.nonce, NONCE_OFFSET);
    if (isAtMost(powOf(slot.algorithm, work.header), work.target)) {
      finds += 1;
      tell({ kind: 'found', slot: id, generation: work.generation, nonce: work.nonce });
    }
    work.nonce = (work.nonce + 1) % NONCES;
    work.left -= 1;
    left -= 1;
    slot.hashes += 1;
    const isCheckDue = slot.algorithm === 'scrypt' || (slot.hashes & 0xff) === 0;
    if (isCheckDue && performance.now() >= endMs) break;
  }
  if (work.left === 0) {
    tell({ kind: 'exhausted', slot: id, generation: work.generation });
    slot.work = undefined;
  }
  // What the slice did not allow is not owed for ever.
  return Math.min(left, Math.max(1, (slot.hashrateHps * CATCH_UP_MS) / 1000));
}

/** Both little-endian. */
function isAtMost(hash: Uint8Array, target: Uint8Array): boolean {
  for (let index = 31; index >= 0; index -= 1) {
    const difference = (hash[index] ?? 0) - (target[index] ?? 0);
    if (difference !== 0) return difference < 0;
  }
  return true;
}

function report(nowMs: number): void {
  lastReportMs = nowMs;
  for (const [id, slot] of slots) {
    if (slot.hashes > 0) tell({ kind: 'hashed', slot: id, hashes: slot.hashes });
    slot.hashes = 0;
  }
}

function tell(message: FromHasher): void {
  parentPort?.postMessage(message);
}

parentPort?.on('message', receive);
setTimeout(round, ROUND_MS);
