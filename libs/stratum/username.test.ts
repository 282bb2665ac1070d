import { describe, expect, test } from 'vitest';
import { parseUsername } from './username.ts';

describe('parseUsername()', () => {
  test.each([
    ['addr', 'addr', '', 'addr'],
    ['addr.rig1', 'addr', 'rig1', 'addr.rig1'],
    ['addr_rig1', 'addr', 'rig1', 'addr.rig1'],
    ['addr.rig_1.b', 'addr', 'rig_1.b', 'addr.rig_1.b'],
    ['addr.', 'addr', '', 'addr'],
    [' addr.rig ', 'addr', 'rig', 'addr.rig'],
    [`addr.${'x'.repeat(63)}`, 'addr', 'x'.repeat(63), `addr.${'x'.repeat(63)}`],
  ])('reads "%s"', (text, address, worker, name) => {
    expect(parseUsername(text)).toEqual({ kind: 'valid', username: { address, worker, name } });
  });

  test.each([
    ['', 'username must be address[.worker]'],
    ['.rig', 'username must be address[.worker]'],
    ['a'.repeat(128), 'address is too long'],
    ['ad dr', 'address has characters that no address has'],
    ['ädd', 'address has characters that no address has'],
    [`addr.${'x'.repeat(64)}`, 'worker name is longer than 63'],
    ['addr.r\u0000g', 'worker name is not printable ASCII'],
    ['addr.r\u00e9g', 'worker name is not printable ASCII'],
    ['addr.r\ufffdg', 'worker name is not printable ASCII'],
  ])('refuses "%s"', (text, detail) => {
    expect(parseUsername(text)).toEqual({ kind: 'invalid', detail });
  });
});
