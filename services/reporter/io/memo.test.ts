import { assert, describe, expect, test } from 'vitest';
import { createMemo } from './memo.ts';

describe('a memo', () => {
  test('loads once for all who ask within its time', async () => {
    let nowMs = 0;
    let loads = 0;
    const memo = createMemo(100, 10, () => nowMs);
    const load = async () => (loads += 1);
    assert.deepEqual(await Promise.all([memo.get('k', load), memo.get('k', load)]), [1, 1]);
    nowMs = 99;
    assert.equal(await memo.get('k', load), 1);
    nowMs = 100;
    assert.equal(await memo.get('k', load), 2);
    assert.equal(await memo.get('other', load), 3);
  });

  test('keeps no failure', async () => {
    const memo = createMemo(100, 10, () => 0);
    await expect(memo.get('k', () => Promise.reject(new Error('away')))).rejects.toThrow('away');
    assert.equal(await memo.get('k', async () => 1), 1);
  });

  test('forgets the oldest at its bound', async () => {
    const memo = createMemo(100, 2, () => 0);
    for (const key of ['a', 'b', 'c']) await memo.get(key, async () => key);
    assert.equal(await memo.get('a', async () => 'again'), 'again');
    assert.equal(await memo.get('c', async () => 'again'), 'c');
  });
});
