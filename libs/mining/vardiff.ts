/**
 * Vardiff: keeps the shares of one connection coming at a wanted pace. Pure: state in, state out; the caller asks at
 * every new job, since a difficulty holds from the next job on.
 *
 * Note [Vardiff window]
 * Finding shares is a Poisson process: of 3 expected shares 0 or 8 is nothing unusual. So the weight of shares is
 * gathered over a window from the last change on, and the difficulty changes only if what came differs from what was
 * expected by more than chance explains (two standard deviations and one share) and by more than `HYSTERESIS`. After
 * the first three shares of a connection it may change at once, later not within `INTERVAL_MS` of the last change.
 * A miner that finds nothing decays through the same rule: of six expected shares none came.
 */

/** [ms] between two changes */
export const INTERVAL_MS = 30_000;
/** Shares after which a new connection may change at once. */
const FIRST_SHARES = 3;
/** No change within this factor up or down. */
const HYSTERESIS = 1.5;
const STEP_UP_MAX = 64;
const STEP_DOWN_MAX = 8;
/** [ms] the window is halved at this age, so that an old habit does not hide a new one */
const WINDOW_MAX_MS = 600_000;
/** [ms] shorter windows count as this long */
const WINDOW_MIN_MS = 1_000;

/** What holds for a connection: listener, then user agent, then its own wishes. */
export interface VardiffRules {
  /** [s] wanted mean time between shares */
  readonly targetSec: number;
  /** Never below; wins over both upper bounds. */
  readonly minDifficulty: number;
  /** Never above; Infinity if nobody asked. */
  readonly maxDifficulty: number;
  /** Of the current job: a harder share than the block makes no sense. */
  readonly networkDifficulty: number;
  /** The miner chose its difficulty: only bounds are kept. */
  readonly isFixed: boolean;
}

export interface VardiffState {
  readonly difficulty: number;
  /** [ms] when the window began */
  readonly sinceMs: number;
  /** Sum of the credited difficulties of the window's shares. */
  readonly weight: number;
  /** Accepted shares of the window. */
  readonly shares: number;
  /** Whether the quick first change is over. */
  readonly isSettled: boolean;
}

/** A connection's first state. @param difficulty wanted; it is bounded by the rules */
export function startVardiff(difficulty: number, rules: VardiffRules, nowMs: number): VardiffState {
  return {
    difficulty: bounded(difficulty, rules),
    sinceMs: nowMs,
    weight: 0,
    shares: 0,
    isSettled: false,
  };
}

/** An accepted share. @param creditedDifficulty what the share counted for */
export function countShare(vardiff: VardiffState, creditedDifficulty: number): VardiffState {
  const { weight, shares } = vardiff;
  return { ...vardiff, weight: weight + creditedDifficulty, shares: shares + 1 };
}

/** The state for the next job; its difficulty differs if the miner is to be told. See Note [Vardiff window] */
export function retarget(vardiff: VardiffState, rules: VardiffRules, nowMs: number): VardiffState {
  const wanted = rules.isFixed ? vardiff.difficulty : wantedDifficulty(vardiff, rules, nowMs);
  const difficulty = bounded(wanted, rules);
  if (difficulty === vardiff.difficulty) return slidden(vardiff, nowMs);
  return { difficulty, sinceMs: nowMs, weight: 0, shares: 0, isSettled: true };
}

/** A difficulty the miner asks for: taken at the next job. */
export function suggest(
  vardiff: VardiffState,
  difficulty: number,
  rules: VardiffRules,
  nowMs: number,
): VardiffState {
  const next = startVardiff(difficulty, rules, nowMs);
  return next.difficulty === vardiff.difficulty ? vardiff : next;
}

/** The state as numbers, for a capsule. */
export function packVardiff(vardiff: VardiffState): readonly number[] {
  const { difficulty, sinceMs, weight, shares, isSettled } = vardiff;
  return [difficulty, sinceMs, weight, shares, isSettled ? 1 : 0];
}

/** The inverse of {@link packVardiff}; undefined if these are no such numbers. Numbers after them are ignored. */
export function unpackVardiff(numbers: readonly number[]): VardiffState | undefined {
  const [difficulty, sinceMs, weight, shares, settled] = numbers;
  if (difficulty === undefined || !Number.isFinite(difficulty) || difficulty <= 0) return undefined;
  if (sinceMs === undefined || !Number.isFinite(sinceMs)) return undefined;
  if (weight === undefined || !(weight >= 0) || shares === undefined || !(shares >= 0))
    return undefined;
  return { difficulty, sinceMs, weight, shares, isSettled: settled === 1 };
}

function wantedDifficulty(vardiff: VardiffState, rules: VardiffRules, nowMs: number): number {
  const { difficulty, weight, shares, isSettled } = vardiff;
  const elapsedMs = nowMs - vardiff.sinceMs;
  const isDue = elapsedMs >= INTERVAL_MS || (!isSettled && shares >= FIRST_SHARES);
  if (!isDue) return difficulty;
  const expected = Math.max(elapsedMs, WINDOW_MIN_MS) / (rules.targetSec * 1000);
  const found = weight / difficulty;
  if (Math.abs(found - expected) <= 2 * Math.sqrt(expected) + 1) return difficulty;
  const factor = (found + 1) / (expected + 1);
  if (factor < HYSTERESIS && factor > 1 / HYSTERESIS) return difficulty;
  return rounded(difficulty * Math.min(STEP_UP_MAX, Math.max(1 / STEP_DOWN_MAX, factor)));
}

/** To three significant bits: exact in a double, exact as a target, and short in a miner's log. */
function rounded(difficulty: number): number {
  const unit = 2 ** (Math.floor(Math.log2(difficulty)) - 2);
  return Math.round(difficulty / unit) * unit;
}

function bounded(difficulty: number, rules: VardiffRules): number {
  const { minDifficulty, maxDifficulty, networkDifficulty } = rules;
  return Math.max(minDifficulty, Math.min(maxDifficulty, networkDifficulty, difficulty));
}

function slidden(vardiff: VardiffState, nowMs: number): VardiffState {
  const elapsedMs = nowMs - vardiff.sinceMs;
  if (elapsedMs < WINDOW_MAX_MS) return vardiff;
  const { weight, shares } = vardiff;
  return {
    ...vardiff,
    sinceMs: nowMs - WINDOW_MAX_MS / 2,
    weight: (weight * WINDOW_MAX_MS) / 2 / elapsedMs,
    shares: Math.floor(shares / 2),
    isSettled: true,
  };
}
