import { describe, expect, test } from 'vitest';
import { parseSubmitParams } from './submit-params.ts';

const GOOD = ['addr.rig', '00112233445566ff', '0000000000000001', '65a1b2c3', 'DEADbeef'];

function with_(index: number, value: unknown): unknown[] {
  return GOOD.map((param, at) => (at === index ? value : param));
}

describe('parseSubmitParams()', () => {
  test('reads names and numbers', () => {
    expect(parseSubmitParams(GOOD, 8)).toEqual({
      kind: 'valid',
      submit: {
        username: 'addr.rig',
        jobId: '00112233445566ff',
        extranonce2: Buffer.from('0000000000000001', 'hex'),
        ntime: 0x65a1b2c3,
        nonce: 0xdeadbeef,
        versionBits: undefined,
      },
    });
  });

  test('reads version bits, and null as none', () => {
    expect(parseSubmitParams([...GOOD, '1FFFe000'], 8)).toMatchObject({
      submit: { versionBits: 0x1fffe000 },
    });
    expect(parseSubmitParams([...GOOD, null], 8)).toMatchObject({
      submit: { versionBits: undefined },
    });
  });

  const rejects: readonly [what: string, params: readonly unknown[], reason: string][] = [
    ['too few', GOOD.slice(0, 4), 'malformed_submit'],
    ['too many', [...GOOD, '00000000', 'x'], 'malformed_submit'],
    ['a number as name', with_(0, 5), 'malformed_submit'],
    ['a long name', with_(0, 'x'.repeat(256)), 'malformed_submit'],
    ['a number as job id', with_(1, 5), 'malformed_submit'],
    ['a long job id', with_(1, '0'.repeat(65)), 'malformed_submit'],
    ['a job id of another pool', with_(1, '4f'), 'unknown_job'],
    ['a job id that is no hex', with_(1, '00112233445566fg'), 'unknown_job'],
    // z-classic#16: a non-hex extranonce2 bypasses the duplicate check.
    ['an extranonce2 that is no hex', with_(2, '000000000000000g'), 'malformed_submit'],
    ['an extranonce2 with spaces', with_(2, ' 00000000000000 '), 'malformed_submit'],
    ['a short extranonce2', with_(2, '00000000000001'), 'bad_extranonce2_size'],
    ['a long extranonce2', with_(2, '000000000000000001'), 'bad_extranonce2_size'],
    ['an odd extranonce2', with_(2, '000000000000001'), 'bad_extranonce2_size'],
    ['no extranonce2', with_(2, ''), 'bad_extranonce2_size'],
    ['a short ntime', with_(3, '5a1b2c3'), 'malformed_submit'],
    ['an ntime with 0x', with_(3, '0x5a1b2c'), 'malformed_submit'],
    ['a number as nonce', with_(4, 1), 'malformed_submit'],
    ['a long nonce', with_(4, '0deadbeef'), 'malformed_submit'],
    ['short version bits', [...GOOD, 'e000'], 'malformed_submit'],
    ['a number as version bits', [...GOOD, 8192], 'malformed_submit'],
  ];
  test.each(rejects)('refuses %s', (_, params, reason) => {
    expect(parseSubmitParams(params, 8)).toEqual({ kind: 'invalid', reason });
  });
});
