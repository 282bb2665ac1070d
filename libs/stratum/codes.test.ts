import { describe, expect, test } from 'vitest';
import { errorOf, REJECT_REASONS } from './codes.ts';

describe('errorOf()', () => {
  // PROTOCOL.md 1.6: miners look for these words.
  test.each([
    ['unknown_job', 21, 'Job not found (=stale)'],
    ['stale_job', 21, 'Job not found (=stale)'],
    ['duplicate', 22, 'Duplicate share'],
    ['low_difficulty', 23, 'Low difficulty share'],
    ['unauthorized', 24, 'Unauthorized worker'],
    ['not_subscribed', 25, 'Not subscribed'],
    ['bad_extranonce2_size', 20, 'invalid extranonce2 size'],
  ] as const)('says %s as the field does', (reason, code, message) => {
    expect(errorOf(reason)).toEqual({ code, message, closes: false });
  });

  test('has a code of 20 to 25 for every reason', () => {
    for (const reason of REJECT_REASONS) {
      expect(errorOf(reason).code).toBeGreaterThanOrEqual(20);
      expect(errorOf(reason).code).toBeLessThanOrEqual(25);
    }
  });
});
