/**
 * Which extranonce1 goes to whom: never random, never twice. No Redis: whoever holds this leases the prefixes.
 *
 * Note [Extranonce prefixes]
 * extranonce1 is 4 bytes: a 3-byte prefix leased in Redis and one of the 256 values behind it. Two servers never own the
 * same prefix, so they never give out the same value. Values are given out only while the lease was confirmed less
 * than `prefixUsableMs` ago; a server that cannot reach Redis so lives on the free values it has.
 * A value rests for `restMs` after its connection closed, since its miner may come back, here or on another server.
 * So a rested value is free only when the caller has seen in Redis that nobody took it over elsewhere: every server marks
 * the values of sessions that come to it, and marks them again while it has them (`foreignValues()`). The one that gave
 * them out asks for those marks: `rested()`, then `free()` or `move()`. One whose session moved to another server is never given out again: nobody tells us when it
 * ends. Every server that holds any session with a prefix renews it, whoever took it, at once when the session comes and
 * then regularly (and creates it again where it lapsed), so that a prefix lives as long as its last session. What
 * remains: a server without Redis for longer than a lease may have sessions whose prefix somebody else takes.
 */
import { AssertionError, assert } from '#libs/assert.ts';

export const VALUES_PER_PREFIX = 256;
export const PREFIX_COUNT = 0x100_0000;

export interface ExtranonceLimits {
  /** [ms] after a lease was confirmed its values may be given out; below the lease's TTL by a margin */
  readonly prefixUsableMs: number;
  /** [ms] before a closed session's value is asked for; longer than anybody may still resume it */
  readonly restMs: number;
  /** Values to hold in reserve for times without Redis. */
  readonly spareValues: number;
  /** Most prefixes ever owned. */
  readonly prefixesMax: number;
}

/** 16 prefixes are 4 096 spare values; 1 024 serve a quarter million connections. */
export const EXTRANONCE_LIMITS: ExtranonceLimits = {
  prefixUsableMs: 25 * 60_000,
  restMs: 15 * 60_000,
  spareValues: 4_096,
  prefixesMax: 1_024,
};

const FREE = 0;
const IN_USE = 1;
const RESTING = 2;
const MOVED = 3;
type ValueState = typeof FREE | typeof IN_USE | typeof RESTING | typeof MOVED;

/** A prefix this server took. */
interface Owned {
  confirmedMs: number;
  readonly states: Uint8Array;
  /** How many values are in each state. */
  readonly counts: [free: number, inUse: number, resting: number, moved: number];
  /** Where the search for a free value goes on: the one free for longest comes first, roughly. */
  cursor: number;
}

export interface ExtranonceCounts {
  readonly prefixes: number;
  /** Values that can be given out now. */
  readonly free: number;
  readonly inUse: number;
  /** Sessions here whose prefix another server took. */
  readonly foreign: number;
}

/** See Note [Extranonce prefixes]. An extranonce1 is a number of 32 bits, its prefix the upper 24. */
export class ExtranonceAllocator {
  readonly #limits: ExtranonceLimits;
  readonly #owned = new Map<number, Owned>();
  /** Sessions of foreign prefixes. */
  readonly #foreign = new Map<number, Set<number>>();
  /** Value to [ms] when it was closed, oldest first. */
  readonly #resting = new Map<number, number>();

  constructor(limits: ExtranonceLimits = EXTRANONCE_LIMITS) {
    this.#limits = limits;
  }

  /**
   * A lease was taken or renewed for this server. A prefix that is new here must be new in the world: all its values
   * count as free. Returns false (and ignores it) if sessions of that prefix moved here from its former owner.
   *
   * @param confirmedMs time *before* the request to Redis was sent
   */
  confirm(prefix: number, confirmedMs: number): boolean {
    const owned = this.#owned.get(prefix);
    if (owned !== undefined) {
      owned.confirmedMs = Math.max(owned.confirmedMs, confirmedMs);
      return true;
    }
    if (this.#foreign.has(prefix)) return false;
    assert(
      Number.isInteger(prefix) && prefix >= 0 && prefix < PREFIX_COUNT,
      'a prefix has 3 bytes',
    );
    this.#owned.set(prefix, {
      confirmedMs,
      states: new Uint8Array(VALUES_PER_PREFIX),
      counts: [VALUES_PER_PREFIX, 0, 0, 0],
      cursor: 0,
    });
    return true;
  }

  /**
   * The lease lapsed or turned out to be somebody else's: nothing more is given out. Its sessions here stay, as foreign
   * ones: ask for the foreign prefixes after this.
   */
  lose(prefix: number): void {
    const owned = this.#owned.get(prefix);
    if (owned === undefined) return;
    this.#drop(prefix);
    for (let low = 0; low < VALUES_PER_PREFIX; low += 1) {
      if (owned.states[low] === IN_USE) this.#addForeign(prefix * VALUES_PER_PREFIX + low);
    }
  }

  /** A value nobody else has, or undefined if there is none: the miner must be refused. */
  allocate(nowMs: number): number | undefined {
    for (const [prefix, owned] of this.#owned) {
      if (owned.counts[FREE] === 0 || !this.#isUsable(owned, nowMs)) continue;
      const low = nextFree(owned);
      setState(owned, low, IN_USE);
      owned.cursor = (low + 1) % VALUES_PER_PREFIX;
      return prefix * VALUES_PER_PREFIX + low;
    }
    return undefined;
  }

  /**
   * A session came here with its value (its capsule says so, or it was resumed). False if a session here has it
   * already: the caller ends that one first, or gives out a new value.
   */
  adopt(extranonce1: number): boolean {
    const owned = this.#owned.get(prefixOf(extranonce1));
    if (owned === undefined) return this.#addForeign(extranonce1);
    const low = extranonce1 % VALUES_PER_PREFIX;
    if (owned.states[low] === IN_USE) return false;
    setState(owned, low, IN_USE);
    this.#resting.delete(extranonce1);
    return true;
  }

  /** The connection closed: the value rests until it cannot be resumed any more. */
  close(extranonce1: number, nowMs: number): void {
    const owned = this.#owned.get(prefixOf(extranonce1));
    if (owned === undefined) return this.#removeForeign(extranonce1);
    const low = extranonce1 % VALUES_PER_PREFIX;
    if (owned.states[low] !== IN_USE) return;
    setState(owned, low, RESTING);
    this.#resting.set(extranonce1, nowMs);
  }

  /**
   * Values whose rest is over, oldest first: to be freed, or moved if they were resumed on another server.
   *
   * @param countMax at most this many, as the caller asks Redis about each
   */
  rested(nowMs: number, countMax = 1_024): readonly number[] {
    const due: number[] = [];
    for (const [extranonce1, sinceMs] of this.#resting) {
      if (nowMs - sinceMs < this.#limits.restMs || due.length === countMax) break;
      due.push(extranonce1);
    }
    return due;
  }

  /** A rested value was not resumed elsewhere. Without effect if it came back here meanwhile. */
  free(extranonce1: number): void {
    const owned = this.#owned.get(prefixOf(extranonce1));
    if (owned !== undefined && this.#resting.delete(extranonce1)) {
      setState(owned, extranonce1 % VALUES_PER_PREFIX, FREE);
    }
  }

  /** The session went to another server (released, resumed there, or its link ended): never given out here again. */
  move(extranonce1: number): void {
    const owned = this.#owned.get(prefixOf(extranonce1));
    if (owned === undefined) return this.#removeForeign(extranonce1);
    const low = extranonce1 % VALUES_PER_PREFIX;
    this.#resting.delete(extranonce1);
    if (owned.states[low] !== FREE) setState(owned, low, MOVED);
  }

  /** Prefixes whose lease is to be renewed: own ones that have a use, and those of sessions that came here. */
  prefixesToRenew(): { readonly own: readonly number[]; readonly foreign: readonly number[] } {
    for (const [prefix, { counts }] of this.#owned) {
      if (counts[MOVED] === VALUES_PER_PREFIX) this.#drop(prefix);
    }
    return { own: [...this.#owned.keys()], foreign: [...this.#foreign.keys()] };
  }

  /** Values of the sessions here that other servers gave out: to be marked as held here. */
  foreignValues(): readonly number[] {
    return [...this.#foreign.values()].flatMap((values) => [...values]);
  }

  /** How many prefixes to take now, so that the spare values are there. */
  prefixesWanted(nowMs: number): number {
    const missing = this.#limits.spareValues - this.counts(nowMs).free;
    const wanted = Math.ceil(Math.max(0, missing) / VALUES_PER_PREFIX);
    return Math.min(wanted, this.#limits.prefixesMax - this.#owned.size);
  }

  /**
   * Gives up untouched prefixes above the spares, and lapsed ones without sessions, and names them: their leases may end.
   */
  surplus(nowMs: number): readonly number[] {
    let free = this.counts(nowMs).free;
    const given: number[] = [];
    for (const [prefix, owned] of this.#owned) {
      const isUsable = this.#isUsable(owned, nowMs);
      const isUntouched = owned.counts[FREE] === VALUES_PER_PREFIX;
      const isSpare = isUsable && free - VALUES_PER_PREFIX >= 2 * this.#limits.spareValues;
      if (!isUntouched || (isUsable && !isSpare)) continue;
      this.#drop(prefix);
      given.push(prefix);
      if (isUsable) free -= VALUES_PER_PREFIX;
    }
    return given;
  }

  counts(nowMs: number): ExtranonceCounts {
    let free = 0;
    let inUse = 0;
    for (const owned of this.#owned.values()) {
      if (this.#isUsable(owned, nowMs)) free += owned.counts[FREE];
      inUse += owned.counts[IN_USE];
    }
    let foreign = 0;
    for (const values of this.#foreign.values()) foreign += values.size;
    return { prefixes: this.#owned.size, free, inUse, foreign };
  }

  #isUsable(owned: Owned, nowMs: number): boolean {
    return nowMs - owned.confirmedMs < this.#limits.prefixUsableMs;
  }

  #addForeign(extranonce1: number): boolean {
    const prefix = prefixOf(extranonce1);
    const values = this.#foreign.get(prefix) ?? new Set<number>();
    if (values.has(extranonce1)) return false;
    this.#foreign.set(prefix, values.add(extranonce1));
    return true;
  }

  #removeForeign(extranonce1: number): void {
    const prefix = prefixOf(extranonce1);
    const values = this.#foreign.get(prefix);
    values?.delete(extranonce1);
    if (values?.size === 0) this.#foreign.delete(prefix);
  }

  #drop(prefix: number): void {
    this.#owned.delete(prefix);
    for (const extranonce1 of this.#resting.keys()) {
      if (prefixOf(extranonce1) === prefix) this.#resting.delete(extranonce1);
    }
  }
}

/** The 4 bytes as they stand in the coinbase. */
export function extranonce1Bytes(extranonce1: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, extranonce1);
  return bytes;
}

/** 6 lower-case hex digits, as in the Redis key. */
export function prefixHex(prefix: number): string {
  return prefix.toString(16).padStart(6, '0');
}

/** 8 lower-case hex digits, as in the Redis key and as miners are told it. */
export function extranonce1Hex(extranonce1: number): string {
  return extranonce1.toString(16).padStart(8, '0');
}

/** The prefix of a value. */
export function prefixOf(extranonce1: number): number {
  return Math.floor(extranonce1 / VALUES_PER_PREFIX);
}

function setState(owned: Owned, low: number, state: ValueState): void {
  const before = (owned.states[low] ?? FREE) as ValueState;
  owned.counts[before] -= 1;
  owned.counts[state] += 1;
  owned.states[low] = state;
}

function nextFree(owned: Owned): number {
  for (let step = 0; step < VALUES_PER_PREFIX; step += 1) {
    const low = (owned.cursor + step) % VALUES_PER_PREFIX;
    if (owned.states[low] === FREE) return low;
  }
  throw new AssertionError('a prefix whose count says so has a free value');
}
