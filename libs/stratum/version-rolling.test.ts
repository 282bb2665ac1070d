import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { negotiate, rolledVersion } from './version-rolling.ts';

const OFFER = { versionMask: 0x1fffe000 };

function ask(extensions: readonly string[], parameters: Record<string, unknown> = {}) {
  return negotiate({ extensions, parameters: new Map(Object.entries(parameters)) }, OFFER);
}

describe('negotiate()', () => {
  test('agrees on the common bits', () => {
    const { result, versionMask } = ask(['version-rolling'], {
      'version-rolling.mask': '18000000',
      'version-rolling.min-bit-count': 2,
    });
    expect(result).toEqual({ 'version-rolling': true, 'version-rolling.mask': '18000000' });
    expect(versionMask).toBe(0x18000000);
  });

  test.each([
    ['no mask', undefined, 0x1fffe000],
    ['all bits (NerdQAxe#1169)', 'ffffffff', 0x1fffe000],
    ['a mask that is no hex', 'fffg', 0x1fffe000],
    ['a number as mask', 7, 0x1fffe000],
    ['a short mask', 'e000', 0xe000],
  ])('takes %s', (_, mask, expected) => {
    expect(ask(['version-rolling'], { 'version-rolling.mask': mask }).versionMask).toBe(expected);
  });

  // Braiins OS sends a malformed one (braiins#47), and must not be refused.
  test.each([undefined, 'two', -1, 99, null, {}])('tolerates %s as min-bit-count', (count) => {
    const { versionMask } = ask(['version-rolling'], { 'version-rolling.min-bit-count': count });
    expect(versionMask).toBe(OFFER.versionMask);
  });

  test('says false where no bit is common', () => {
    const { result, versionMask } = ask(['version-rolling'], {
      'version-rolling.mask': '00000003',
    });
    expect(result).toEqual({ 'version-rolling': false });
    expect(versionMask).toBeUndefined();
  });

  test('takes minimum-difficulty with a value above 0 only', () => {
    const asked = (value: unknown) =>
      ask(['minimum-difficulty'], { 'minimum-difficulty.value': value });
    expect(asked(2048)).toMatchObject({
      result: { 'minimum-difficulty': true },
      minimumDifficulty: 2048,
    });
    expect(asked('0.5')).toMatchObject({ minimumDifficulty: 0.5 });
    for (const bad of [0, -1, 'x', null, undefined, Infinity])
      expect(asked(bad)).toMatchObject({
        result: { 'minimum-difficulty': false },
        minimumDifficulty: undefined,
      });
  });

  test('subscribes to extranonce changes', () => {
    expect(ask(['subscribe-extranonce'])).toMatchObject({
      result: { 'subscribe-extranonce': true },
      subscribesExtranonce: true,
    });
  });

  test('answers every extension, unknown ones with false, whatever they are called', () => {
    const { result } = ask(['__proto__', 'toString', 'x', 'info', 'x']);
    expect(JSON.stringify(result)).toBe(
      '{"__proto__":false,"toString":false,"x":false,"info":true}',
    );
  });
});

describe('rolledVersion()', () => {
  test('is the vector of PROTOCOL.md 1.5', () => {
    expect(rolledVersion(0x20000000, 0x1fffe000, 0x00a4e000)).toBe(0x20a4e000);
  });

  test('is the job’s version without bits', () => {
    expect(rolledVersion(0xa0000000, 0, undefined)).toBe(0xa0000000);
    expect(rolledVersion(0x20000000, 0x1fffe000, 0)).toBe(0x20000000);
  });

  test('refuses a bit outside the mask, the sign bits too (btcpool#425)', () => {
    expect(rolledVersion(0x20000000, 0x1fffe000, 0x20000000)).toBeUndefined();
    expect(rolledVersion(0x20000000, 0x1fffe000, 0x80000000)).toBeUndefined();
    expect(rolledVersion(0x20000000, 0, 0x2000)).toBeUndefined();
  });

  test('replacing, OR and XOR agree where the job has the mask’s bits clear', () => {
    const uint32 = fc.integer({ min: 0, max: 0xffffffff });
    fc.assert(
      fc.property(uint32, uint32, uint32, (job, mask, rolled) => {
        const version = (job & ~mask) >>> 0;
        const bits = (rolled & mask) >>> 0;
        const rolledTo = rolledVersion(version, mask, bits);
        expect(rolledTo).toBe((version | bits) >>> 0);
        expect(rolledTo).toBe((version ^ bits) >>> 0);
      }),
    );
  });
});
