/** What every part of a simulation shares: time, dice, what was seen, and how to die. */
import { type Clock, type Process } from './clock.ts';
import type { Dice } from './dice.ts';

/** Rates of what goes wrong, drawn for each seed. All are 0 in the calm at the end. */
export interface Faults {
  /** of a link message */
  lose: number;
  repeat: number;
  swap: number;
  /** of a call or its reply */
  callLost: number;
  callTwice: number;
  /** of a journal's write */
  writeFails: number;
  /** of a write to a miner: its socket takes nothing for a while */
  slowSocket: number;
  /** of a job's announcement to one server */
  announceLost: number;
}

export interface World {
  readonly clock: Clock;
  readonly dice: Dice;
  readonly faults: Faults;
  readonly problems: string[];
  readonly counts: Map<string, number>;
  readonly trace: (text: string) => void;
  /** [ms] when something last happened that makes servers see a tip late */
  disturbedMs: number;
}

export const EPOCH_MS = 1_700_000_000_000;

export function count(world: World, what: string, by = 1): void {
  world.counts.set(what, (world.counts.get(what) ?? 0) + by);
}

/** Something that must never be. */
export function blame(world: World, text: string): void {
  world.trace(`!! ${text}`);
  world.problems.push(`${world.clock.nowMs} ms: ${text}`);
}

export function happened(world: World, what: string, detail = ''): void {
  count(world, what);
  world.trace(`** ${what} ${detail}`);
}

/** Dies between two effects: nothing it does from now on is seen by anybody. */
export function die(world: World, process: Process): void {
  if (process.isDead) return;
  process.isDead = true;
  world.trace(`** ${process.name} dead`);
}

/** [ms] how long something small takes */
export function moment({ dice }: World, maxMs = 3): number {
  return dice.chance(0.02) ? dice.between(0, maxMs * 20) : dice.between(0, maxMs);
}
