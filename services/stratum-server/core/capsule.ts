/**
 * The session capsule: what a connection's next server must know, as bytes the frontend keeps unread. No socket.
 *
 * Note [Capsule format]
 * ```
 * capsule = version u8 (1), record*
 * record  = tag u8, length u16, value             all numbers little-endian
 * ```
 * A record that comes later replaces what an earlier one said (`LAST`) or adds to it (`LIST`), so that a change is made by
 * appending records and the whole is never rewritten on the hot path. Unknown tags are skipped: version N reads what
 * N+1 appended. A capsule is rewritten (`set`) when it passes `CAPSULE_BYTES_COMPACT`.
 *
 * | tag | value | |
 * |---|---|---|
 * | 1 | session id, 16 bytes | LAST |
 * | 2 | extranonce2 size u8, extranonce1 as the miner was told it | LAST |
 * | 3 | worker name, UTF-8 | LIST |
 * | 4 | script of the coinbase's owner (solo) | LAST |
 * | 5 | difficulty f64, mark it holds from (0 to 16 bytes; none: from the first job) | LIST |
 * | 6 | version mask u32, [ms] since when f64 | LIST |
 * | 7 | vardiff: numbers f64* | LAST |
 * | 8 | user agent, UTF-8 | LAST |
 * | 9 | fingerprints of accepted shares, 8 bytes each | LIST |
 * | 10 | height u32: fingerprints before this are of older blocks and dropped | |
 * | 11 | flags u8: 1 subscribed, 2 extranonce.subscribe, 4 version mask granted | LAST |
 * | 12 | options f64 x 4: fixed, start, min, max difficulty; 0 for none | LAST |
 * | 13 | mask the miner asked for u32 | LAST |
 */
import { CapsuleError } from './errors.ts';

const CAPSULE_VERSION = 1;
/** [bytes] no capsule is longer; the frontend's bound is above this */
export const CAPSULE_BYTES_MAX = 65_536;
/** [bytes] above this it is written anew */
export const CAPSULE_BYTES_COMPACT = 8_192;
const FINGERPRINT_BYTES = 8;
export const FINGERPRINTS_MAX = 512;
const DIFFICULTIES_MAX = 16;
const MASKS_MAX = 8;
const WORKERS_MAX = 1_000;
const VARDIFF_NUMBERS_MAX = 64;
const SESSION_ID_BYTES = 16;
const EXTRANONCE1_BYTES_MAX = 16;
const MARK_BYTES_MAX = 16;
const HEADER_BYTES = 3;

const TAG = {
  sessionId: 1,
  extranonce: 2,
  worker: 3,
  owner: 4,
  difficulty: 5,
  mask: 6,
  vardiff: 7,
  userAgent: 8,
  fingerprints: 9,
  newHeight: 10,
  flags: 11,
  options: 12,
  minerMask: 13,
} as const;

const FLAG = { subscribed: 1, extranonce: 2, versionRolling: 4 } as const;

/** From which job on a difficulty holds. `mark` is the job id's hex, '' for the first job. */
export interface DifficultyStep {
  readonly difficulty: number;
  readonly mark: string;
}

/** From when on a version mask holds. */
export interface MaskStep {
  readonly mask: number;
  /** [ms] */
  readonly sinceMs: number;
}

/** What a miner asked for by password, user agent or request; 0 stands for nothing. */
export interface DifficultyOptions {
  /** Never retargeted. */
  readonly fixed: number;
  readonly start: number;
  readonly min: number;
  readonly max: number;
}

export const NO_OPTIONS: DifficultyOptions = { fixed: 0, start: 0, min: 0, max: 0 };

/** Everything a capsule says. */
export interface CapsuleContent {
  /** 32 hex digits. */
  readonly sessionId: string;
  /** Hex, as the miner was told it; '' before mining.subscribe. */
  readonly extranonce1: string;
  /** [bytes] */
  readonly extranonce2Size: number;
  readonly workers: readonly string[];
  /** Hex, '' for none. */
  readonly ownerScript: string;
  /** Oldest first. */
  readonly difficulties: readonly DifficultyStep[];
  /** Oldest first; empty unless version rolling was granted. */
  readonly masks: readonly MaskStep[];
  readonly minerMask: number;
  readonly vardiff: readonly number[];
  readonly userAgent: string;
  readonly isSubscribed: boolean;
  readonly takesExtranonce: boolean;
  readonly rollsVersion: boolean;
  readonly options: DifficultyOptions;
  /** [blocks] the fingerprints are of this height's shares and later ones'. */
  readonly fingerprintHeight: number;
  /** 8 bytes each, oldest first. */
  readonly fingerprints: Uint8Array;
}

/** The whole capsule, for `set`. */
export function encodeCapsule(content: CapsuleContent): Uint8Array {
  const parts = [
    Uint8Array.of(CAPSULE_VERSION),
    sessionRecord(content),
    optionsRecord(content.options),
    record(TAG.userAgent, Buffer.from(content.userAgent)),
    ...content.workers.map(workerRecord),
    ...content.masks.map(maskRecord),
    ...content.difficulties.map(difficultyRecord),
    vardiffRecord(content.vardiff),
  ];
  if (content.ownerScript !== '') parts.push(ownerRecord(content.ownerScript));
  parts.push(heightRecord(content.fingerprintHeight));
  if (content.fingerprints.length > 0) parts.push(fingerprintsRecord(content.fingerprints));
  return Buffer.concat(parts);
}

/** What mining.subscribe, mining.configure and mining.extranonce.subscribe change. */
export function sessionRecord(
  content: Pick<
    CapsuleContent,
    | 'sessionId'
    | 'extranonce1'
    | 'extranonce2Size'
    | 'isSubscribed'
    | 'takesExtranonce'
    | 'rollsVersion'
    | 'minerMask'
  >,
): Uint8Array {
  const extranonce1 = Buffer.from(content.extranonce1, 'hex');
  const flags =
    (content.isSubscribed ? FLAG.subscribed : 0) |
    (content.takesExtranonce ? FLAG.extranonce : 0) |
    (content.rollsVersion ? FLAG.versionRolling : 0);
  return Buffer.concat([
    record(TAG.sessionId, Buffer.from(content.sessionId, 'hex')),
    record(TAG.extranonce, Buffer.from([content.extranonce2Size, ...extranonce1])),
    record(TAG.flags, Uint8Array.of(flags)),
    record(TAG.minerMask, uint32Le(content.minerMask)),
  ]);
}

export function workerRecord(name: string): Uint8Array {
  return record(TAG.worker, Buffer.from(name));
}

export function ownerRecord(scriptHex: string): Uint8Array {
  return record(TAG.owner, Buffer.from(scriptHex, 'hex'));
}

export function difficultyRecord({ difficulty, mark }: DifficultyStep): Uint8Array {
  return record(TAG.difficulty, Buffer.concat([float64Le([difficulty]), Buffer.from(mark, 'hex')]));
}

export function maskRecord({ mask, sinceMs }: MaskStep): Uint8Array {
  return record(TAG.mask, Buffer.concat([uint32Le(mask), float64Le([sinceMs])]));
}

export function vardiffRecord(numbers: readonly number[]): Uint8Array {
  return record(TAG.vardiff, float64Le(numbers));
}

export function optionsRecord({ fixed, start, min, max }: DifficultyOptions): Uint8Array {
  return record(TAG.options, float64Le([fixed, start, min, max]));
}

export function userAgentRecord(userAgent: string): Uint8Array {
  return record(TAG.userAgent, Buffer.from(userAgent));
}

/** Accepted shares. @param packed the first 8 bytes of each one's identity */
export function fingerprintsRecord(packed: Uint8Array): Uint8Array {
  return record(TAG.fingerprints, packed);
}

/** The first share of a new height: older fingerprints are dropped. */
export function heightRecord(height: number): Uint8Array {
  return record(TAG.newHeight, uint32Le(height));
}

type Draft = { -readonly [Key in keyof CapsuleContent]: CapsuleContent[Key] } & {
  /** `fingerprints` while they are read. */
  parts: Uint8Array[];
};

/**
 * Reads a capsule given back by a frontend.
 *
 * @throws {CapsuleError} if it is cut, too long, of an unknown version or not ours
 */
export function decodeCapsule(bytes: Uint8Array): CapsuleContent {
  if (bytes.length > CAPSULE_BYTES_MAX) {
    throw new CapsuleError('too_large', 0, `${bytes.length} bytes of at most ${CAPSULE_BYTES_MAX}`);
  }
  const [version] = bytes;
  if (version === undefined) throw new CapsuleError('truncated', 0, 'it is empty');
  if (version !== CAPSULE_VERSION) {
    throw new CapsuleError('unknown_version', 0, `version ${version}`);
  }
  const draft = emptyDraft();
  for (let offset = 1; offset < bytes.length; ) offset = readRecord(draft, bytes, offset);
  if (draft.sessionId === '') throw new CapsuleError('truncated', bytes.length, 'no session id');
  const { parts, ...content } = draft;
  const packed = Buffer.concat(parts);
  const surplus = packed.length - FINGERPRINTS_MAX * FINGERPRINT_BYTES;
  return { ...content, fingerprints: Uint8Array.from(packed.subarray(Math.max(0, surplus))) };
}

function emptyDraft(): Draft {
  return {
    sessionId: '',
    extranonce1: '',
    extranonce2Size: 0,
    workers: [],
    ownerScript: '',
    difficulties: [],
    masks: [],
    minerMask: 0,
    vardiff: [],
    userAgent: '',
    isSubscribed: false,
    takesExtranonce: false,
    rollsVersion: false,
    options: NO_OPTIONS,
    fingerprintHeight: 0,
    fingerprints: new Uint8Array(),
    parts: [],
  };
}

/** Reads one record into the draft. @returns offset of the next one @throws {CapsuleError} */
function readRecord(draft: Draft, bytes: Uint8Array, offset: number): number {
  const [tag, low, high] = bytes.subarray(offset, offset + HEADER_BYTES);
  if (tag === undefined || low === undefined || high === undefined) {
    throw new CapsuleError('truncated', offset, 'a record header is cut');
  }
  const start = offset + HEADER_BYTES;
  const end = start + low + high * 256;
  if (end > bytes.length) {
    throw new CapsuleError(
      'truncated',
      offset,
      `record ${tag} needs ${end - bytes.length} bytes more`,
    );
  }
  const value = Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start);
  if (!applyRecord(draft, tag, value)) {
    throw new CapsuleError('malformed', offset, `record ${tag} of ${value.length} bytes`);
  }
  return end;
}

/** @returns whether the value has the form its tag asks for */
function applyRecord(draft: Draft, tag: number, value: Buffer): boolean {
  switch (tag) {
    case TAG.sessionId:
      draft.sessionId = value.toString('hex');
      return value.length === SESSION_ID_BYTES;
    case TAG.extranonce:
      draft.extranonce2Size = value[0] ?? 0;
      draft.extranonce1 = value.toString('hex', 1);
      return value.length >= 1 && value.length <= 1 + EXTRANONCE1_BYTES_MAX;
    case TAG.worker:
      return addWorker(draft, value.toString());
    case TAG.owner:
      draft.ownerScript = value.toString('hex');
      return true;
    case TAG.difficulty:
      return addDifficulty(draft, value);
    case TAG.mask:
      return addMask(draft, value);
    case TAG.vardiff:
      draft.vardiff = float64sOf(value);
      return value.length % 8 === 0 && draft.vardiff.length <= VARDIFF_NUMBERS_MAX;
    case TAG.userAgent:
      draft.userAgent = value.toString();
      return true;
    case TAG.fingerprints:
      draft.parts.push(value);
      return value.length % FINGERPRINT_BYTES === 0;
    case TAG.newHeight:
      return startHeight(draft, value);
    case TAG.flags:
      return applyFlags(draft, value);
    case TAG.options:
      return applyOptions(draft, value);
    case TAG.minerMask:
      if (value.length !== 4) return false;
      draft.minerMask = value.readUInt32LE(0);
      return true;
    default:
      return true; // A newer version's record.
  }
}

function addWorker(draft: Draft, name: string): boolean {
  if (!draft.workers.includes(name)) draft.workers = [...draft.workers, name];
  return draft.workers.length <= WORKERS_MAX;
}

function addDifficulty(draft: Draft, value: Buffer): boolean {
  if (value.length < 8 || value.length > 8 + MARK_BYTES_MAX) return false;
  const difficulty = value.readDoubleLE(0);
  const step = { difficulty, mark: value.toString('hex', 8) };
  draft.difficulties = [...draft.difficulties, step].slice(-DIFFICULTIES_MAX);
  return Number.isFinite(difficulty) && difficulty > 0;
}

function addMask(draft: Draft, value: Buffer): boolean {
  if (value.length !== 12) return false;
  const step = { mask: value.readUInt32LE(0), sinceMs: value.readDoubleLE(4) };
  draft.masks = [...draft.masks, step].slice(-MASKS_MAX);
  return Number.isFinite(step.sinceMs);
}

function startHeight(draft: Draft, value: Buffer): boolean {
  if (value.length !== 4) return false;
  draft.fingerprintHeight = value.readUInt32LE(0);
  draft.parts = [];
  return true;
}

function applyFlags(draft: Draft, value: Buffer): boolean {
  const [flags] = value;
  if (flags === undefined) return false;
  draft.isSubscribed = (flags & FLAG.subscribed) !== 0;
  draft.takesExtranonce = (flags & FLAG.extranonce) !== 0;
  draft.rollsVersion = (flags & FLAG.versionRolling) !== 0;
  return true;
}

function applyOptions(draft: Draft, value: Buffer): boolean {
  const [fixed, start, min, max] = float64sOf(value);
  if (fixed === undefined || start === undefined || min === undefined || max === undefined) {
    return false;
  }
  draft.options = { fixed, start, min, max };
  return [fixed, start, min, max].every((number) => Number.isFinite(number) && number >= 0);
}

function record(tag: number, value: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES + value.length);
  bytes[0] = tag;
  bytes[1] = value.length & 0xff;
  bytes[2] = value.length >>> 8;
  bytes.set(value, HEADER_BYTES);
  return bytes;
}

function uint32Le(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return bytes;
}

function float64Le(values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 8);
  values.forEach((value, index) => bytes.writeDoubleLE(value, index * 8));
  return bytes;
}

function float64sOf(bytes: Buffer): number[] {
  return Array.from({ length: Math.floor(bytes.length / 8) }, (_, index) =>
    bytes.readDoubleLE(index * 8),
  );
}
