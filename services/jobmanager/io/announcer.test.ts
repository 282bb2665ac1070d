import { Registry } from '@prometheus-io/client';
import { pino } from 'pino';
import { expect, suite, test } from 'vitest';
import { waitFor } from '#test/harness/wait-for.ts';
import type { Job } from '#libs/contracts/job.ts';
import { payments, settings, withMweb, without } from '../core/jobs.fixture.ts';
import type { Template } from '../core/model.ts';
import { createJobMetrics } from '../metrics.ts';
import { type AnnounceCause, Announcer } from './announcer.ts';

interface World {
  nowMs: number;
  tipAgeMs: number;
  fresh: () => Promise<Template>;
  storeBody: () => Promise<void>;
}

function announcerIn(world: World, refreshMs = 60_000) {
  const said: { job: Job; cause: AnnounceCause }[] = [];
  const proposed: string[] = [];
  const announcer = new Announcer({
    settings,
    refreshMs,
    staleWorkMs: 120_000,
    nowMs: () => world.nowMs,
    log: pino({ level: 'silent' }),
    metrics: createJobMetrics(new Registry()),
    freshTemplate: () => world.fresh(),
    tipAgeMs: () => world.tipAgeMs,
    storeBody: () => world.storeBody(),
    announce: (job, cause) => said.push({ job, cause }),
    onFullJob: (job) => proposed.push(job.jobId),
  });
  return { announcer, said, proposed };
}

const quiet = (): World => ({
  nowMs: 1_000_000,
  tipAgeMs: 0,
  fresh: () => Promise.reject(new Error('no node')),
  storeBody: () => Promise.resolve(),
});

suite('Announcer', () => {
  test('announces an empty job at once, the full one when its body is stored', async () => {
    const stored = Promise.withResolvers<void>();
    const world = { ...quiet(), storeBody: () => stored.promise };
    const { announcer, said, proposed } = announcerIn(world);
    announcer.offer(payments);
    expect(said.map(({ job, cause }) => [job.bodyId, cause])).toEqual([[null, 'new_block']]);
    stored.resolve();
    await waitFor(() => said.length === 2);
    const [empty, full] = said;
    expect(full?.cause).toBe('refresh');
    expect(full?.job.bodyId).not.toBeNull();
    expect(full?.job.parent).toBe(empty?.job.parent);
    expect(proposed).toEqual([full?.job.jobId]);
    expect(announcer.shelf.length).toBe(2);
    await announcer[Symbol.asyncDispose]();
  });

  test('announces one job where empty and full are the same, or empty is not possible', async () => {
    const { announcer, said } = announcerIn(quiet());
    announcer.offer(without);
    announcer.offer(withMweb);
    await waitFor(() => said.length === 2);
    expect(said.map(({ job, cause }) => [job.height, cause])).toEqual([
      [151, 'new_block'],
      [432, 'new_block'],
    ]);
    await announcer[Symbol.asyncDispose]();
  });

  test('drops a full job when the next block comes before its body is stored', async () => {
    const stored = Promise.withResolvers<void>();
    const world = { ...quiet(), storeBody: () => stored.promise };
    const { announcer, said } = announcerIn(world);
    announcer.offer(payments);
    const next = { ...without, height: 152, previousblockhash: '44'.repeat(32) };
    announcer.offer(next);
    stored.resolve();
    await announcer[Symbol.asyncDispose]();
    expect(said.map(({ job }) => job.height)).toEqual([151, 152]);
    expect(said.filter(({ job }) => job.bodyId !== null)).toEqual([]);
  });

  test('goes down to a lower height when the node does', async () => {
    const { announcer, said } = announcerIn(quiet());
    announcer.offer(without);
    await waitFor(() => said.length === 1);
    announcer.offer({ ...without, height: 150, previousblockhash: '55'.repeat(32) });
    await waitFor(() => said.length === 2);
    expect(said[1]).toMatchObject({ cause: 'new_block', job: { height: 150 } });
    await announcer[Symbol.asyncDispose]();
  });

  test('keeps newer transactions for the refresh, which asks for a fresh template', async () => {
    const later = { ...payments, curtime: payments.curtime + 25 };
    const world = { ...quiet(), fresh: () => Promise.resolve(later) };
    const { announcer, said } = announcerIn(world, 30);
    announcer.offer(without);
    await waitFor(() => said.length >= 2, { what: 'the refresh' });
    expect(said[1]).toMatchObject({ cause: 'refresh', job: { curtime: later.curtime } });
    expect(said[1]?.job.bodyId).not.toBeNull();
    await announcer[Symbol.asyncDispose]();
  });

  test('a refresh never has the id of the job before, whatever the node says', async () => {
    const world = { ...quiet(), fresh: () => Promise.resolve(without) };
    const { announcer, said } = announcerIn(world, 5);
    announcer.offer(without);
    await waitFor(() => said.length >= 4, { what: 'three refreshes' });
    await announcer[Symbol.asyncDispose]();
    for (const [index, { job }] of said.entries())
      expect(job.jobId).not.toBe(said[index - 1]?.job.jobId);
  });

  test('a refresh that finds another parent is a new block', async () => {
    const next = { ...without, height: 152, previousblockhash: '44'.repeat(32) };
    const world = { ...quiet(), fresh: () => Promise.resolve(next) };
    const { announcer, said } = announcerIn(world, 20);
    announcer.offer(without);
    await waitFor(() => said.length >= 2);
    expect(said[1]).toMatchObject({ cause: 'new_block', job: { height: 152 } });
    await announcer[Symbol.asyncDispose]();
  });

  test('without a node goes on with the last template, its clock moved on, until the work is stale', async () => {
    const world = quiet();
    const { announcer, said } = announcerIn(world, 20);
    announcer.offer(without);
    await waitFor(() => said.length === 1);
    world.nowMs += 25_000;
    await waitFor(() => said.length >= 2, { what: 'an aged refresh' });
    expect(said[1]?.job.curtime).toBe(without.curtime + 25);
    world.tipAgeMs = 120_000;
    let asked = 0;
    world.fresh = () => {
      asked += 1;
      return Promise.reject(new Error('no node'));
    };
    await waitFor(() => asked >= 1, { what: 'a try' });
    const before = said.length;
    await waitFor(() => asked >= 2, { what: 'another try' });
    expect(said.length).toBe(before);
    world.fresh = () => Promise.resolve({ ...without, curtime: without.curtime + 300 });
    await waitFor(() => said.length > before, { what: 'work again' });
    await announcer[Symbol.asyncDispose]();
  });

  test('says nothing more after its end', async () => {
    const { announcer, said } = announcerIn(quiet(), 5);
    await announcer[Symbol.asyncDispose]();
    announcer.offer(payments);
    expect(said).toEqual([]);
  });
});
