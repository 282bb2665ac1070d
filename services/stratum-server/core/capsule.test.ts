import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  CAPSULE_BYTES_COMPACT,
  CAPSULE_BYTES_MAX,
  type CapsuleContent,
  decodeCapsule,
  difficultyRecord,
  encodeCapsule,
  FINGERPRINTS_MAX,
  fingerprintsRecord,
  heightRecord,
  maskRecord,
  NO_OPTIONS,
  optionsRecord,
  ownerRecord,
  sessionRecord,
  userAgentRecord,
  vardiffRecord,
  workerRecord,
} from './capsule.ts';
import { CapsuleError } from './errors.ts';

const GOLDEN = new URL('../../../test/golden/capsule/session.v1.hex', import.meta.url);

const sample: CapsuleContent = {
  sessionId: '00112233445566778899aabbccddeeff',
  extranonce1: '0a0b0c0d',
  extranonce2Size: 8,
  workers: ['bcrt1qexample.rig', 'bcrt1qexample.ригß'],
  ownerScript: '0014751e76e8199196d454941c45d1b3a323f1433bd6',
  difficulties: [
    { difficulty: 10_000, mark: '' },
    { difficulty: 0.001, mark: '00000000000000aa' },
  ],
  masks: [
    { mask: 0x1fff_e000, sinceMs: 1_700_000_000_000 },
    { mask: 0xffff_ffff, sinceMs: 1_700_000_000_500 },
  ],
  minerMask: 0xffff_ffff,
  vardiff: [1, 2.5, -3],
  userAgent: 'cgminer/4.12.0',
  isSubscribed: true,
  takesExtranonce: true,
  rollsVersion: true,
  options: { fixed: 0, start: 1_000, min: 1, max: 1e12 },
  fingerprintHeight: 840_000,
  fingerprints: Uint8Array.from(Buffer.from('0102030405060708ffeeddccbbaa9988', 'hex')),
};

const hex = (bytes: number) =>
  fc.uint8Array({ minLength: bytes, maxLength: bytes }).map((b) => Buffer.from(b).toString('hex'));
const positive = fc.double({ min: 1e-9, max: 1e15, noNaN: true });
const orNone = fc.oneof(fc.constant(0), positive);
const uint32 = fc.integer({ min: 0, max: 0xffff_ffff });

const contents: fc.Arbitrary<CapsuleContent> = fc.record({
  sessionId: hex(16),
  extranonce1: fc.oneof(fc.constant(''), hex(4), hex(8)),
  extranonce2Size: fc.integer({ min: 0, max: 16 }),
  workers: fc.uniqueArray(fc.string({ unit: 'grapheme', maxLength: 40 }), { maxLength: 8 }),
  ownerScript: fc.oneof(fc.constant(''), hex(22)),
  difficulties: fc.array(
    fc.record({ difficulty: positive, mark: fc.oneof(fc.constant(''), hex(8)) }),
    { maxLength: 16 },
  ),
  masks: fc.array(fc.record({ mask: uint32, sinceMs: positive }), { maxLength: 8 }),
  minerMask: uint32,
  vardiff: fc.array(fc.double({ noNaN: true }), { maxLength: 20 }),
  userAgent: fc.string({ unit: 'grapheme', maxLength: 60 }),
  isSubscribed: fc.boolean(),
  takesExtranonce: fc.boolean(),
  rollsVersion: fc.boolean(),
  options: fc.record({ fixed: orNone, start: orNone, min: orNone, max: orNone }),
  fingerprintHeight: uint32,
  fingerprints: fc
    .array(fc.uint8Array({ minLength: 8, maxLength: 8 }), { maxLength: 50 })
    .map((parts) => Uint8Array.from(Buffer.concat(parts))),
});

describe('the capsule', () => {
  test('gives back what was put in', () => {
    fc.assert(
      fc.property(contents, (content) => {
        expect(decodeCapsule(encodeCapsule(content))).toEqual(content);
      }),
    );
  });

  test('is what it was in version 1', () => {
    const golden = readFileSync(GOLDEN, 'utf8').replaceAll(/#.*|\s/g, '');
    expect(Buffer.from(encodeCapsule(sample)).toString('hex')).toBe(golden);
    expect(decodeCapsule(Buffer.from(golden, 'hex'))).toEqual(sample);
  });

  test('cut anywhere is refused or an earlier state of the session, and never read past its end', () => {
    fc.assert(
      fc.property(contents, fc.nat(), (content, seed) => {
        const whole = encodeCapsule(content);
        const length = seed % whole.length;
        const backing = new Uint8Array(whole.length).fill(0xaa);
        backing.set(whole.subarray(0, length));
        try {
          const cut = decodeCapsule(backing.subarray(0, length));
          expect(cut.sessionId).toBe(content.sessionId);
          expect(content.fingerprints.subarray(0, cut.fingerprints.length)).toEqual(
            cut.fingerprints,
          );
          expect(content.workers).toEqual(expect.arrayContaining([...cut.workers]));
        } catch (error) {
          if (!(error instanceof CapsuleError)) throw error;
        }
      }),
    );
  });

  test('of any bytes is read or refused, nothing else', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        bytes[0] = 1;
        try {
          decodeCapsule(bytes);
        } catch (error) {
          if (!(error instanceof CapsuleError)) throw error;
        }
      }),
      { numRuns: 1_000 },
    );
  });
});

describe('an append', () => {
  const base = {
    ...sample,
    workers: [],
    fingerprints: new Uint8Array(),
    difficulties: [],
    masks: [],
  };
  const print = (n: number) => Uint8Array.of(0, 0, 0, 0, 0, 0, n >> 8, n & 255);
  const prints = (...ns: number[]) => Uint8Array.from(Buffer.concat(ns.map(print)));
  const append = (...records: Uint8Array[]) =>
    decodeCapsule(Buffer.concat([encodeCapsule(base), ...records]));

  test('adds what is a list and replaces what is not', () => {
    const after = append(
      workerRecord('a'),
      workerRecord('b'),
      workerRecord('a'),
      difficultyRecord({ difficulty: 5, mark: '0102' }),
      maskRecord({ mask: 7, sinceMs: 9 }),
      fingerprintsRecord(print(1)),
      fingerprintsRecord(print(2)),
      vardiffRecord([4]),
      optionsRecord({ ...NO_OPTIONS, fixed: 32 }),
      userAgentRecord('x'),
      ownerRecord('51'),
      sessionRecord({ ...base, extranonce2Size: 4, isSubscribed: false }),
    );
    expect(after).toEqual({
      ...base,
      workers: ['a', 'b'],
      difficulties: [{ difficulty: 5, mark: '0102' }],
      masks: [{ mask: 7, sinceMs: 9 }],
      fingerprints: prints(1, 2),
      vardiff: [4],
      options: { ...NO_OPTIONS, fixed: 32 },
      userAgent: 'x',
      ownerScript: '51',
      extranonce2Size: 4,
      isSubscribed: false,
    });
  });

  test('of a new height drops the fingerprints before it', () => {
    const after = append(
      fingerprintsRecord(print(1)),
      heightRecord(840_001),
      fingerprintsRecord(print(2)),
    );
    expect(after.fingerprintHeight).toBe(840_001);
    expect(after.fingerprints).toEqual(print(2));
  });

  test('of a newer version is skipped', () => {
    expect(append(Uint8Array.of(200, 2, 0, 1, 2))).toEqual(base);
  });

  test('keeps the newest of too many', () => {
    const many = Array.from({ length: FINGERPRINTS_MAX + 5 }, (_, i) => i);
    const steps = Array.from({ length: 40 }, (_, i) =>
      difficultyRecord({ difficulty: i + 1, mark: '' }),
    );
    const after = append(fingerprintsRecord(prints(...many)), ...steps);
    expect(after.fingerprints).toEqual(prints(...many.slice(5)));
    expect(after.difficulties.map((step) => step.difficulty).at(0)).toBe(25);
  });

  test('of full fingerprints stays below the bound to compact at', () => {
    const full = {
      ...sample,
      fingerprints: new Uint8Array(8 * FINGERPRINTS_MAX),
    };
    expect(encodeCapsule(full).length).toBeLessThan(CAPSULE_BYTES_COMPACT - 2_048);
  });
});

describe('a capsule is refused', () => {
  const good = encodeCapsule(sample);
  const rows: readonly [string, Uint8Array, CapsuleError['code']][] = [
    ['if it is empty', new Uint8Array(), 'truncated'],
    ['if it names no session', Uint8Array.of(1), 'truncated'],
    ['if its version is unknown', Uint8Array.of(2, ...good.subarray(1)), 'unknown_version'],
    ['if it is too long', new Uint8Array(CAPSULE_BYTES_MAX + 1), 'too_large'],
    ['if a record is cut', good.subarray(0, good.length - 1), 'truncated'],
    ['if fingerprints are cut', Buffer.concat([good, Uint8Array.of(9, 1, 0, 1)]), 'malformed'],
    ['if a difficulty is cut', Buffer.concat([good, Uint8Array.of(5, 1, 0, 1)]), 'malformed'],
    [
      'if a difficulty is zero',
      Buffer.concat([good, Uint8Array.of(5, 8, 0), Buffer.alloc(8)]),
      'malformed',
    ],
    ['if a mask is cut', Buffer.concat([good, Uint8Array.of(6, 1, 0, 1)]), 'malformed'],
    ['if vardiff is cut', Buffer.concat([good, Uint8Array.of(7, 1, 0, 1)]), 'malformed'],
    ['if options are cut', Buffer.concat([good, Uint8Array.of(12, 1, 0, 1)]), 'malformed'],
    ['if flags are missing', Buffer.concat([good, Uint8Array.of(11, 0, 0)]), 'malformed'],
    ['if a session id is short', Buffer.concat([good, Uint8Array.of(1, 1, 0, 1)]), 'malformed'],
    ['if a height is short', Buffer.concat([good, Uint8Array.of(10, 1, 0, 1)]), 'malformed'],
  ];
  for (const [what, bytes, code] of rows) {
    test(what, () => {
      expect(() => decodeCapsule(bytes)).toThrow(
        expect.objectContaining({ name: 'CapsuleError', code }),
      );
    });
  }
});
