/** Records for tests: one of each kind with every field set, arbitrary ones, and a silent logger. */
import fc from 'fast-check';
import type { Logger } from 'pino';
import type {
  CandidateRecord,
  JournalRecord,
  RejectsRecord,
  SettledRecord,
  ShareRecord,
} from './record.ts';

export function share(change: Partial<ShareRecord> = {}): ShareRecord {
  return {
    kind: 'share',
    timeMs: 1_700_000_000_123,
    conn: 'fe1-00000000000000000000000000000007',
    worker: 'bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4.rig_1',
    jobId: '00112233445566ff',
    height: 840_000,
    mode: 'pool',
    solvesBlock: false,
    work: 42_953_338_426_368n,
    difficulty: 10_000.5,
    achievedDifficulty: 123_456.75,
    identity: Uint8Array.from({ length: 32 }, (_, at) => at + 1),
    ...change,
  };
}

/** A share whose identity is the number, so that two differ exactly if the numbers do. */
export function numberedShare(number: number, change: Partial<ShareRecord> = {}): ShareRecord {
  const identity = Buffer.alloc(32, 0xa5);
  identity.writeUInt32LE(number, 0);
  return share({ identity: Uint8Array.from(identity), ...change });
}

export function rejects(change: Partial<RejectsRecord> = {}): RejectsRecord {
  return {
    kind: 'rejects',
    timeMs: 1_700_000_001_000,
    worker: 'bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4.rig_1',
    reason: 'low_difficulty',
    count: 17,
    ...change,
  };
}

export function candidate(change: Partial<CandidateRecord> = {}): CandidateRecord {
  return {
    kind: 'candidate',
    timeMs: 1_700_000_002_000,
    worker: 'bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4.rig_1',
    hash: '00000000000000000000ab'.padEnd(64, '3'),
    height: 840_000,
    submission: '{"chain":"btc","header":"…"}',
    ...change,
  };
}

export function settled(change: Partial<SettledRecord> = {}): SettledRecord {
  return {
    kind: 'settled',
    timeMs: 1_700_000_003_000,
    hash: '00000000000000000000ab'.padEnd(64, '3'),
    outcome: 'rejected',
    reason: 'high-hash',
    ...change,
  };
}

export function oneOfEachKind(): JournalRecord[] {
  return [
    share(),
    share({ mode: 'solo', solvesBlock: true, work: (1n << 128n) - 1n }),
    rejects(),
    candidate(),
    settled(),
    settled({ outcome: 'accepted', reason: '' }),
    settled({ outcome: 'duplicate', reason: 'déjà vu' }),
  ];
}

const timeMs = fc.integer({ min: 0, max: 2 ** 48 - 1 });
const text = (bytesMax: number) =>
  fc
    .string({ unit: 'grapheme', maxLength: 40 })
    .filter((value) => Buffer.byteLength(value) <= bytesMax);
const hash = fc
  .uint8Array({ minLength: 32, maxLength: 32 })
  .map((bytes) => Buffer.from(bytes).toString('hex'));
const difficulty = fc.double({ min: 0, noNaN: true, noDefaultInfinity: true });

export const anyRecord: fc.Arbitrary<JournalRecord> = fc.oneof(
  fc.record({
    kind: fc.constant('share' as const),
    timeMs,
    conn: text(255),
    worker: text(191),
    jobId: text(255),
    height: fc.nat(),
    mode: fc.constantFrom('pool' as const, 'solo' as const),
    solvesBlock: fc.boolean(),
    work: fc.bigInt({ min: 0n, max: (1n << 128n) - 1n }),
    difficulty,
    achievedDifficulty: difficulty,
    identity: fc
      .uint8Array({ minLength: 32, maxLength: 32 })
      .map((bytes) => Uint8Array.from(bytes)),
  }),
  fc.record({
    kind: fc.constant('rejects' as const),
    timeMs,
    worker: text(191),
    reason: text(255),
    count: fc.integer({ min: 0, max: 0xffff_ffff }),
  }),
  fc.record({
    kind: fc.constant('candidate' as const),
    timeMs,
    worker: text(191),
    hash,
    height: fc.nat(),
    submission: text(10_000),
  }),
  fc.record({
    kind: fc.constant('settled' as const),
    timeMs,
    hash,
    outcome: fc.constantFrom('accepted' as const, 'duplicate' as const, 'rejected' as const),
    reason: text(2_048),
  }),
);

const nothing = () => undefined;

/** A logger that keeps silent. */
export const quietLog = {
  info: nothing,
  warn: nothing,
  error: nothing,
  debug: nothing,
  fatal: nothing,
  trace: nothing,
} as unknown as Logger; // Only these are used; a test has no stream to log to.
