import { assert, suite, test } from 'vitest';
import { followsSequence, readHashblock } from './zmq-hashblock.ts';

const TOPIC = Buffer.from('hashblock');
const HASH = Buffer.alloc(32, 0xab);

suite('readHashblock()', () => {
  test('gives the hash as the node sends it', () => {
    const frame = readHashblock([TOPIC, HASH, Buffer.from([1, 2, 0, 0])]);
    assert.deepEqual(frame, { hash: 'ab'.repeat(32), sequence: 513 });
  });

  for (const [what, frames] of [
    ['another topic', [Buffer.from('rawblock'), HASH, Buffer.alloc(4)]],
    ['a short hash', [TOPIC, HASH.subarray(1), Buffer.alloc(4)]],
    ['no sequence', [TOPIC, HASH]],
    ['a short sequence', [TOPIC, HASH, Buffer.alloc(3)]],
    ['nothing', []],
  ] as const) {
    test(`refuses ${what}`, () => assert.isUndefined(readHashblock(frames)));
  }
});

suite('followsSequence()', () => {
  test('sees gaps, restarts and repeats, and wraps at 2^32', () => {
    assert.isTrue(followsSequence(undefined, 7));
    assert.isTrue(followsSequence(7, 8));
    assert.isTrue(followsSequence(0xffff_ffff, 0));
    assert.isFalse(followsSequence(7, 9));
    assert.isFalse(followsSequence(7, 7));
    assert.isFalse(followsSequence(7, 0));
  });
});
