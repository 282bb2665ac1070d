import { afterEach, beforeEach, expect, test } from 'vitest';
import { keys } from '#libs/contracts/keys.ts';
import { startRedis, type TestRedis } from '#test/harness/redis.ts';
import { createExtranonceMarks } from './extranonce-marks.ts';

let redis: TestRedis;
beforeEach(async () => {
  redis = await startRedis();
});
afterEach(() => redis[Symbol.asyncDispose]());

test('a rested value is free unless another server has it, and while our lease of its prefix stands', async () => {
  const [ours, theirs] = ['a', 'b'].map((owner) => createExtranonceMarks(redis.client, owner));
  await redis.client.set(keys.extranoncePrefix('0000a5'), 'a');
  await redis.client.set(keys.extranoncePrefix('0000a6'), 'b');
  await theirs?.write([0xa501, 0xa502]);
  await ours?.write([0xa502, 0xa503]);
  expect(await ours?.fatesOf([0xa500, 0xa501, 0xa502, 0xa503, 0xa600, 0xa700])).toEqual([
    'free',
    'moved',
    'free', // It came back to us.
    'free',
    'unsure',
    'unsure',
  ]);
});

test('a mark lives as long as a lease, and many are written at once', async () => {
  const marks = createExtranonceMarks(redis.client, 'a');
  const values = Array.from({ length: 1_100 }, (_, at) => 0xffff_f000 + at);
  await marks.write(values);
  expect(await redis.client.dbsize()).toBe(values.length);
  expect(await redis.client.pttl(keys.extranonceHolder('fffff000'))).toBeGreaterThan(25 * 60_000);
});

test('nothing is said about any value without Redis', async () => {
  const marks = createExtranonceMarks(redis.client, 'a');
  await redis.kill();
  await expect(marks.fatesOf([1])).rejects.toThrow();
  await expect(marks.write([1])).rejects.toThrow();
});
