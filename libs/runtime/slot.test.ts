import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { acquireLease } from '#libs/registry/lease-store.ts';
import { startRedis, type TestRedis } from '#test/harness/redis.ts';
import { isServing, listenUnix } from './listen-unix.ts';
import { claimSlot } from './slot.ts';

let redis: TestRedis;
let folder: string;
let stack: AsyncDisposableStack;
beforeEach(async () => {
  stack = new AsyncDisposableStack();
  redis = stack.use(await startRedis());
  folder = mkdtempSync(join(tmpdir(), 'seam-slot-'));
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
});
afterEach(async () => await stack.disposeAsync());

const path = (slot: number) => join(folder, `api.${slot}.sock`);

async function claim() {
  const registry = {
    acquireLease: (resource: string, ttlMs: number) => acquireLease(redis.client, resource, ttlMs),
  };
  const parts = { registry, folder, kind: 'api', count: 8 } as const;
  return stack.use(await claimSlot({ ...parts, isServing: (slot) => isServing(path(slot)) }));
}

test('everybody gets a slot of their own, and a slot that is given back is free', async () => {
  const slots = await Promise.all([claim(), claim(), claim()]);
  expect(new Set(slots.map(({ number }) => number))).toEqual(new Set([1, 2, 3]));
  const second = slots.find(({ number }) => number === 2);
  await second?.[Symbol.asyncDispose]();
  expect((await claim()).number).toBe(2);
});

test('who is alive on its socket keeps its slot when Redis forgot the lease', async () => {
  const mine = await claim();
  stack.use(await listenUnix(createServer(), path(mine.number)));
  await redis.client.flushall();
  const next = await claim();
  expect([mine.number, next.number]).toEqual([1, 2]);
});

test('a claim waits for a Redis that is away', async () => {
  await redis.kill();
  redis.client.options.maxRetriesPerRequest = 0;
  const claiming = claim();
  await redis.start();
  expect((await claiming).number).toBe(1);
});
