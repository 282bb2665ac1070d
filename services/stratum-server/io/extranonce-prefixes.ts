/**
 * Leases the prefixes of extranonce1 in Redis. Which value is free is the allocator's question; this keeps it supplied:
 * takes prefixes until the spares are there, renews every prefix any session has, whoever took it, lets go of what
 * turned out to be another's, and frees values nobody can come back for. See Note [Extranonce marks]. With Redis away
 * it does nothing, and the allocator lives on what it has.
 */
import { randomBytes } from 'node:crypto';
import type { Redis } from 'ioredis';
import type { Logger } from 'pino';
import { keys } from '#libs/contracts/keys.ts';
import { type ExtranonceAllocator, prefixHex, prefixOf } from '#libs/mining/extranonce.ts';
import type { Metrics } from '../metrics.ts';
import { createExtranonceMarks, MARKS_BATCH } from './extranonce-marks.ts';
import { within } from './wait.ts';

/** [ms] of a lease */
const PREFIX_TTL_MS = 30 * 60_000;
/** [ms] between renewals of all */
const RENEW_MS = 5 * 60_000;
/** [ms] between looks whether more are wanted */
const SUPPLY_MS = 1_000;
const REDIS_WAIT_MS = 2_000;
const PREFIX_BYTES = 3;
/** Prefixes asked for in one go. */
const TAKE_MAX = 64;
/** Prefixes renewed in one pipeline. */
const RENEW_BATCH = 256;
/** Values that came here while Redis was away; what is beyond is marked with the next renewal of all. */
const UNTOLD_MAX = 262_144;

/**
 * Renews a lease that is ours or that another left to us by a session; takes it again if Redis forgot it.
 * KEYS[1] the prefix, ARGV[1] our id, ARGV[2] TTL in ms. Returns the owner's id.
 */
const RENEW = `
local owner = redis.call('GET', KEYS[1])
if owner then redis.call('PEXPIRE', KEYS[1], ARGV[2]) return owner end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ARGV[1]`;

/** Gives up a lease that is still ours. KEYS[1] the prefix, ARGV[1] our id. */
const RELEASE = `if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0`;

export interface ExtranoncePrefixes extends AsyncDisposable {
  /** Whether there is a value to give out. */
  readonly isSupplied: boolean;
  /** Redis is another store now: everything we have is asserted at once. */
  reassert(): Promise<void>;
  /** A session came here with its value: Redis is told at once, and its prefix renewed if another server took it. */
  noteAdopted(extranonce1: number): void;
}

export interface PrefixParts {
  readonly allocator: ExtranonceAllocator;
  /** Unique to this life of the process. */
  readonly owner: string;
  readonly redis: Redis;
  /** False while no new prefix may be taken: after a new store generation others assert theirs first. */
  readonly mayTake: () => boolean;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly nowMs: () => number;
  readonly randomPrefix?: () => number;
}

export function createExtranoncePrefixes(parts: PrefixParts): ExtranoncePrefixes {
  const { allocator, owner, redis, log, metrics, nowMs } = parts;
  const randomPrefix =
    parts.randomPrefix ?? (() => randomBytes(PREFIX_BYTES).readUIntBE(0, PREFIX_BYTES));
  const marks = createExtranonceMarks(redis, owner);
  /** Values that came here and are not marked yet. */
  const untold = new Set<number>();
  let renewedMs = nowMs();
  let isBusy = false;
  let isTelling = false;
  let isStopped = false;

  async function supply(): Promise<void> {
    const wanted = Math.min(TAKE_MAX, allocator.prefixesWanted(nowMs()));
    if (wanted <= 0 || !parts.mayTake()) return;
    const sentMs = nowMs();
    const pipeline = redis.pipeline();
    const asked = Array.from({ length: wanted }, randomPrefix);
    for (const prefix of asked) {
      pipeline.set(keys.extranoncePrefix(prefixHex(prefix)), owner, 'PX', PREFIX_TTL_MS, 'NX');
    }
    const replies = (await within(pipeline.exec(), REDIS_WAIT_MS)) ?? [];
    asked.forEach((prefix, index) => {
      const [error, reply] = replies[index] ?? [];
      if (!error && reply === 'OK') allocator.confirm(prefix, sentMs);
    });
  }

  async function renew(): Promise<void> {
    const { own } = allocator.prefixesToRenew();
    await renewAll(own, (prefix, holder, sentMs) => {
      if (holder === owner) allocator.confirm(prefix, sentMs);
      else loseTo(prefix, holder);
    });
    const { foreign } = allocator.prefixesToRenew(); // Asked for again: some were lost.
    await renewAll(foreign);
    await marks.write(allocator.foreignValues());
    for (const prefix of allocator.surplus(nowMs())) {
      await within(
        redis.eval(RELEASE, 1, keys.extranoncePrefix(prefixHex(prefix)), owner),
        REDIS_WAIT_MS,
      );
    }
    renewedMs = nowMs();
    metrics.extranoncePrefixes.set({ kind: 'own' }, own.length);
    metrics.extranoncePrefixes.set({ kind: 'foreign' }, foreign.length);
  }

  type OnHolder = (prefix: number, holder: string, sentMs: number) => void;

  async function renewAll(prefixes: readonly number[], onHolder?: OnHolder): Promise<void> {
    for (let at = 0; at < prefixes.length; at += RENEW_BATCH) {
      await renewSome(prefixes.slice(at, at + RENEW_BATCH), onHolder);
    }
  }

  async function renewSome(prefixes: readonly number[], onHolder?: OnHolder): Promise<void> {
    const sentMs = nowMs();
    const pipeline = redis.pipeline();
    for (const prefix of prefixes) {
      pipeline.eval(
        RENEW,
        1,
        keys.extranoncePrefix(prefixHex(prefix)),
        owner,
        String(PREFIX_TTL_MS),
      );
    }
    const replies = (await within(pipeline.exec(), REDIS_WAIT_MS)) ?? [];
    prefixes.forEach((prefix, index) => {
      const [error, holder] = replies[index] ?? [];
      if (!error && typeof holder === 'string') onHolder?.(prefix, holder, sentMs);
    });
  }

  /** Redis forgot a lease of ours and somebody else took it: its sessions stay, nothing new is given out of it. */
  function loseTo(prefix: number, holder: string): void {
    log.error({ prefix: prefixHex(prefix), holder }, 'extranonce prefix was taken by another');
    allocator.lose(prefix);
  }

  function noteAdopted(extranonce1: number): void {
    if (untold.size >= UNTOLD_MAX) return;
    untold.add(extranonce1);
    if (untold.size === 1) setImmediate(() => void tell()); // All that come in this turn go together.
  }

  /** Marks the values of sessions that came here. What fails is tried again by the next tick. */
  async function tell(): Promise<void> {
    if (isTelling || isStopped || untold.size === 0 || redis.status !== 'ready') return;
    isTelling = true;
    try {
      while (untold.size > 0 && !isStopped) await tellSome([...untold.values().take(MARKS_BATCH)]);
    } catch (error) {
      log.debug({ err: error, values: untold.size }, 'extranonces not marked');
    } finally {
      isTelling = false;
    }
  }

  async function tellSome(values: readonly number[]): Promise<void> {
    await marks.write(values);
    const foreign = new Set(allocator.prefixesToRenew().foreign);
    await renewAll([...new Set(values.map(prefixOf))].filter((prefix) => foreign.has(prefix)));
    for (const value of values) untold.delete(value);
  }

  /** Frees values whose rest is over and whose session nobody has. Without Redis none is freed. */
  async function freeRested(): Promise<void> {
    const due = allocator.rested(nowMs(), MARKS_BATCH);
    if (due.length === 0 || !parts.mayTake() || redis.status !== 'ready') return;
    const fates = await marks.fatesOf(due);
    const stillRested = new Set(allocator.rested(nowMs(), due.length));
    due.forEach((value, at) => {
      const fate = fates[at] ?? 'unsure';
      if (fate === 'unsure' || !stillRested.has(value)) return; // Of the latter the session came back.
      if (fate === 'free') allocator.free(value);
      else allocator.move(value);
      metrics.extranonceRested.inc({ fate });
    });
  }

  async function keep(isForced = false): Promise<void> {
    if (isBusy || isStopped) return;
    isBusy = true;
    try {
      if (isForced || nowMs() - renewedMs >= RENEW_MS) await renew();
      await supply();
      await freeRested();
    } catch (error) {
      log.debug({ err: error }, 'extranonce prefixes not renewed');
    } finally {
      isBusy = false;
    }
    metrics.extranonceFree.set(allocator.counts(nowMs()).free);
    metrics.extranonceUntold.set(untold.size);
  }

  function tick(): void {
    void keep();
    void tell();
  }

  const timer = setInterval(tick, SUPPLY_MS);
  void keep();
  return {
    get isSupplied() {
      return allocator.counts(nowMs()).free > 0;
    },
    reassert: () => keep(true),
    noteAdopted,
    async [Symbol.asyncDispose]() {
      isStopped = true;
      clearInterval(timer);
    },
  };
}
