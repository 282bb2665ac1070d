/**
 * Difficulty, target and work: three views of how hard a share is. The target is the one that decides; difficulty is
 * for miners and people, work for the books. Targets are exact integers, work is an exact integer, only difficulty is a double.
 */

/** 2^256: how many hashes there are. */
const HASHES = 1n << 256n;
const TARGET_MAX = HASHES - 1n;

/**
 * The target of a difficulty: floor(diff1 / difficulty), computed from the exact value of the double. Falls when the
 * difficulty rises, always.
 *
 * @param difficulty finite, above 0
 * @returns 0..2^256-1
 * @throws {RangeError} if the difficulty is not such a number
 */
export function targetFromDifficulty(difficulty: number, diff1Target: bigint): bigint {
  if (!Number.isFinite(difficulty) || difficulty <= 0) {
    throw new RangeError(`Cannot find target as difficulty must be above 0: it is ${difficulty}`);
  }
  const { mantissa, exponent } = exactly(difficulty);
  const target =
    exponent >= 0n ? diff1Target / (mantissa << exponent) : (diff1Target << -exponent) / mantissa;
  return target < TARGET_MAX ? target : TARGET_MAX;
}

/** The difficulty of a target, as near as a double comes; Infinity for 0. */
export function difficultyFromTarget(target: bigint, diff1Target: bigint): number {
  return ratio(diff1Target, target);
}

/** How hard a hash really was to find. @param hash as a number: see integerFromHash() */
export function difficultyOfHash(hash: bigint, diff1Target: bigint): number {
  return ratio(diff1Target, hash);
}

/** Expected number of hashes until one meets `target`: floor(2^256 / (target + 1)). Below 2^128 for any sane target. */
export function workFromTarget(target: bigint): bigint {
  return HASHES / (target + 1n);
}

/** [hashes/s] of whoever finds `work` in `elapsedMs`, for people; 0 without time. */
export function hashrateHps(work: bigint, elapsedMs: number): number {
  return elapsedMs > 0 ? (Number(work) * 1000) / elapsedMs : 0;
}

const doubleBits = new DataView(new ArrayBuffer(8));

/** The double as mantissa x 2^exponent, without loss. IEEE 754: 52 bits of fraction, exponent biased by 1023. */
function exactly(value: number): { readonly mantissa: bigint; readonly exponent: bigint } {
  doubleBits.setFloat64(0, value);
  const bits = doubleBits.getBigUint64(0);
  const biased = bits >> 52n;
  const fraction = bits & 0xf_ffff_ffff_ffffn;
  if (biased === 0n) return { mantissa: fraction, exponent: -1074n }; // Subnormal: no leading one.
  return { mantissa: fraction | (1n << 52n), exponent: biased - 1075n };
}

/** [bits] more than any quotient loses, so that the order of quotients is kept */
const RATIO_SHIFT = 320;

/** a / b as the double below or nearest to it; a and b up to 2^256. */
function ratio(a: bigint, b: bigint): number {
  if (b === 0n) return Infinity;
  return Number((a << BigInt(RATIO_SHIFT)) / b) / 2 ** RATIO_SHIFT;
}
