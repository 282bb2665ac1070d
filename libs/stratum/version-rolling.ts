/**
 * BIP 310: what mining.configure is answered, and the header version of a submit.
 *
 * Note [Clear mask bits]
 * Pools combine job version and rolled bits by replacing, by OR or by XOR, and ESP-Miner sends the XOR. All agree
 * exactly when the job's version has no bit of the mask set, so jobs are made that way.
 *
 * @see https://github.com/bitcoin/bips/blob/master/bip-0310.mediawiki
 */
import type { ConfigureRequest } from './request.ts';

/** What the pool offers this connection. */
export interface ConfigureOffer {
  /** Bits that may be rolled on this chain; 0: none. */
  readonly versionMask: number;
}

/** What was agreed. */
export interface Negotiated {
  /** The answer's `result`: a value for every requested extension. */
  readonly result: Readonly<Record<string, unknown>>;
  /** Mask from now on; undefined: version rolling was not asked for, or is not possible. */
  readonly versionMask: number | undefined;
  /** Difficulty the miner does not want to go below; undefined: not asked for. */
  readonly minimumDifficulty: number | undefined;
  readonly subscribesExtranonce: boolean;
}

/** Answers every requested extension: unknown ones with false. Never refuses because of `min-bit-count`. */
export function negotiate(
  request: Pick<ConfigureRequest, 'extensions' | 'parameters'>,
  offer: ConfigureOffer,
): Negotiated {
  const { extensions, parameters } = request;
  const entries: [string, unknown][] = [];
  let versionMask: number | undefined;
  let minimumDifficulty: number | undefined;
  let subscribesExtranonce = false;
  for (const extension of new Set(extensions)) {
    switch (extension) {
      case 'version-rolling':
        versionMask = commonMask(parameters, offer.versionMask);
        entries.push(...versionRollingResult(versionMask));
        break;
      case 'minimum-difficulty':
        minimumDifficulty = positiveNumber(parameters.get('minimum-difficulty.value'));
        entries.push([extension, minimumDifficulty !== undefined]);
        break;
      case 'subscribe-extranonce':
        subscribesExtranonce = true;
        entries.push([extension, true]);
        break;
      case 'info':
        entries.push([extension, true]);
        break;
      default:
        entries.push([extension, false]);
    }
  }
  // fromEntries defines own properties: an extension named `__proto__` stays a name.
  return {
    result: Object.fromEntries(entries),
    versionMask,
    minimumDifficulty,
    subscribesExtranonce,
  };
}

/**
 * The header version of a submit: the job's outside the mask, the miner's inside. Undefined if a bit outside the mask is
 * set, which is a rejected share. No bits sent: the job's version.
 *
 * @see BIP 310, "nVersion = (job_version & ~last_mask) | (version_bits & last_mask)"; See Note [Clear mask bits]
 */
export function rolledVersion(
  jobVersion: number,
  versionMask: number,
  versionBits: number | undefined,
): number | undefined {
  if (versionBits === undefined) return jobVersion >>> 0;
  if ((versionBits & ~versionMask) !== 0) return undefined;
  return ((jobVersion & ~versionMask) | (versionBits & versionMask)) >>> 0;
}

/** The miner's mask (optional, all bits by default) and ours; undefined if they share no bit. */
function commonMask(parameters: ReadonlyMap<string, unknown>, offered: number): number | undefined {
  const asked = parameters.get('version-rolling.mask');
  const isHex = typeof asked === 'string' && /^(?:0x)?[0-9a-fA-F]{1,8}$/.test(asked);
  const mask = (isHex ? Number.parseInt(asked, 16) & offered : offered) >>> 0;
  return mask === 0 ? undefined : mask;
}

function versionRollingResult(versionMask: number | undefined): [string, unknown][] {
  if (versionMask === undefined) return [['version-rolling', false]];
  return [
    ['version-rolling', true],
    ['version-rolling.mask', versionMask.toString(16).padStart(8, '0')],
  ];
}

function positiveNumber(value: unknown): number | undefined {
  const number = typeof value === 'string' ? Number(value) : value;
  return typeof number === 'number' && Number.isFinite(number) && number > 0 ? number : undefined;
}
