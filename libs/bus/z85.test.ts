import { assert, describe as suite, test } from 'vitest';
import { encodeZ85 } from './z85.ts';

suite('encodeZ85()', () => {
  test('gives the text of the specification', () => {
    const bytes = Buffer.from('864fd26fb559f75b', 'hex'); // ZeroMQ RFC 32, test case.
    assert.equal(encodeZ85(bytes), 'HelloWorld');
  });
  test('keeps leading zeros and the largest group', () => {
    assert.equal(encodeZ85(new Uint8Array(4)), '00000');
    assert.equal(encodeZ85(new Uint8Array(4).fill(0xff)), '%nSc0');
    assert.equal(encodeZ85(new Uint8Array()), '');
  });
  test('rejects a length that is not a multiple of 4', () => {
    assert.throws(() => encodeZ85(new Uint8Array(5)), RangeError);
  });
});
