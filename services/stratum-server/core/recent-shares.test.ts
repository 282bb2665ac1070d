import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { decodeCapsule, encodeCapsule, NO_OPTIONS } from './capsule.ts';
import { RecentShares } from './recent-shares.ts';

const identity = () => Uint8Array.from(randomBytes(32));

describe('RecentShares', () => {
  test('knows what it was given, until a share of a greater height comes', () => {
    const recent = new RecentShares();
    const [first, second, late] = [identity(), identity(), identity()];
    recent.add(first, 100);
    expect(recent.has(first)).toBe(true);
    expect(recent.has(second)).toBe(false);
    recent.add(second, 101);
    expect([recent.has(first), recent.has(second)]).toEqual([false, true]);
    recent.add(late, 100); // A late share of the height before drops nothing.
    expect([recent.has(second), recent.has(late)]).toEqual([true, true]);
  });

  test('tells the capsule all it needs to know the same', () => {
    const recent = new RecentShares();
    const base = encodeCapsule({
      sessionId: '00'.repeat(16),
      extranonce1: '',
      extranonce2Size: 8,
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
    });
    const shares = Array.from({ length: 700 }, (_, index) => ({
      identity: identity(),
      height: 100 + Math.floor(index / 650),
    }));
    const records = shares.flatMap((share) => [...recent.add(share.identity, share.height)]);
    const { fingerprintHeight, fingerprints } = decodeCapsule(Buffer.concat([base, ...records]));
    const restored = new RecentShares(fingerprintHeight, fingerprints);
    for (const share of shares)
      expect(restored.has(share.identity)).toBe(recent.has(share.identity));
    expect(restored.height).toBe(recent.height);
    expect(restored.packed).toEqual(recent.packed);
  });
});
