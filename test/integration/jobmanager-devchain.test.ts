/** Jobmanagers against devchain, whose nodes know nothing of each other and have ZMQ. Bus: in memory. Redis: real. */
import { afterEach, assert, beforeEach, expect, suite, test } from 'vitest';
import { createMemoryMesh, type MemoryMesh } from '#libs/bus/memory-bus.ts';
import { hexFromBytes } from '#libs/bitcoin/hex.ts';
import { blockSubmit } from '#libs/contracts/block-submit.ts';
import type { JobAnnounced } from '#libs/contracts/job-announced.ts';
import { solve } from '#services/jobmanager/core/jobs.fixture.ts';
import {
  hearAnnouncements,
  startJobmanager,
  temporaryRunDir,
  type TestJobmanager,
} from '#services/jobmanager/context.fixture.ts';
import { startTestDevchain, type TestDevchain } from '#test/harness/devchain.ts';
import { startRedis, type TestRedis } from '#test/harness/redis.ts';
import { waitFor } from '#test/harness/wait-for.ts';

const PAYOUT = 'bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080';

const onParent = (message: JobAnnounced | undefined, hash: string | undefined) =>
  message?.job.parent === hash ? message : undefined;

suite('jobmanager, with devchain', () => {
  let acquired: AsyncDisposableStack;
  let mesh: MemoryMesh;
  let redis: TestRedis;
  beforeEach(async () => {
    acquired = new AsyncDisposableStack();
    mesh = createMemoryMesh();
    redis = acquired.use(await startRedis());
  });
  afterEach(() => acquired.disposeAsync());

  async function jobmanager(
    id: string,
    nodes: readonly TestDevchain[],
    pollMs = 200,
  ): Promise<TestJobmanager> {
    return acquired.use(
      await startJobmanager({
        id,
        mesh,
        redisUrl: redis.url,
        runDir: acquired.use(await temporaryRunDir()).path,
        isDevchain: true,
        chain: {
          chain: 'bitcoin',
          id: 'devchain',
          network: 'regtest',
          pollMs,
          payoutAddress: PAYOUT,
          nodes: nodes.map(({ url, zmqHashblock }) => ({ url, zmqHashblock })),
        },
      }),
    );
  }

  test('announces an empty job first, says that the coins are not real, and its full job is a block', async () => {
    const devchain = acquired.use(await startTestDevchain());
    devchain.node.synthesize(5);
    const { bus, heard } = hearAnnouncements(mesh, 'devchain');
    const one = await jobmanager('jm-1', [devchain]);
    await waitFor(() => heard.length >= 2);
    const [empty, full] = heard.map(({ message }) => message);
    assert(empty !== undefined && full !== undefined);
    expect([empty.cause, empty.job.bodyId, full.cause]).toEqual(['new_block', null, 'refresh']);
    expect(full.job.bodyId).not.toBeNull();
    expect(full.job.coinbase.valueSat).toBeGreaterThan(empty.job.coinbase.valueSat);
    const tail = Buffer.from(full.job.coinbase.scriptSigTail, 'hex').toString('latin1');
    expect(tail).toContain('/Seam/devchain/');

    const target = { kind: 'instance', role: 'jobmanager', id: 'jm-1' } as const;
    const solution = solve(full.job, 7, 'sha256d');
    expect(await bus.call(target, blockSubmit, solution)).toEqual({
      outcome: 'accepted',
      reason: '',
    });
    expect(devchain.node.chain.tip.hash).toBe(solution.hash);
    const next = await waitFor(
      () => heard.find(({ message }) => message.job.parent === solution.hash)?.message,
    );
    expect(next.job.height).toBe(full.job.height + 1);
    const alone = solve(next.job, 1, 'sha256d');
    expect((await bus.call(target, blockSubmit, alone)).outcome).toBe('accepted');
    expect(await one.value('seam_jobmanager_proposals_total', { outcome: 'invalid' })).toBe(0);
  });

  test('passes a block its node saw first to the active jobmanager, whose node takes it', async () => {
    const [a, b] = [
      acquired.use(await startTestDevchain()),
      acquired.use(await startTestDevchain()),
    ];
    const { last } = hearAnnouncements(mesh, 'devchain');
    const active = await jobmanager('jm-active', [b]);
    await waitFor(() => last('jm-active'));
    const younger = await jobmanager('jm-younger', [a]);
    await waitFor(() => last('jm-younger'));
    const [hash] = await a.node.mine(1, new AbortController().signal);
    await waitFor(() => last('jm-active')?.job.parent === hash, {
      what: 'the active one to agree',
    });
    expect(b.node.chain.tip.hash).toBe(hash);
    await waitFor(() =>
      younger.value('seam_jobmanager_block_relays_total', { outcome: 'accepted' }),
    );
    expect(await active.value('seam_jobmanager_block_relays_total')).toBe(0);
  });

  test('gives a block to every node, and goes on when the one it mined on is gone', async () => {
    const [a, b] = [
      acquired.use(await startTestDevchain()),
      acquired.use(await startTestDevchain()),
    ];
    const { bus, last } = hearAnnouncements(mesh, 'devchain');
    const one = await jobmanager('jm-1', [a, b]);
    const first = await waitFor(() => last('jm-1'));
    const target = { kind: 'instance', role: 'jobmanager', id: 'jm-1' } as const;
    const solution = solve(first.job, 7, 'sha256d');
    await bus.call(target, blockSubmit, solution);
    await one.service.drain?.(AbortSignal.timeout(10_000)); // All submits have ended.
    expect([a.node.chain.tip.hash, b.node.chain.tip.hash]).toEqual([solution.hash, solution.hash]);

    await a[Symbol.asyncDispose]();
    const [hash] = await b.node.mine(1, new AbortController().signal);
    const after = await waitFor(() => onParent(last('jm-1'), hash), {
      what: 'work of the other node',
    });
    expect(one.readiness().isReady).toBe(true);
    expect((await bus.call(target, blockSubmit, solve(after.job, 7, 'sha256d'))).outcome).toBe(
      'accepted',
    );
  });

  test('mines on what the node went back to', async () => {
    const devchain = acquired.use(await startTestDevchain());
    const { heard, last } = hearAnnouncements(mesh, 'devchain');
    const [first = '', second = ''] = await devchain.node.mine(2, new AbortController().signal);
    await jobmanager('jm-1', [devchain]);
    await waitFor(() => last('jm-1')?.job.parent === second);
    devchain.node.invalidate(second);
    const back = await waitFor(() => onParent(last('jm-1'), first), { what: 'the lower height' });
    expect(back.cause).toBe('new_block');
    devchain.node.reconsider(second);
    await waitFor(() => last('jm-1')?.job.parent === second, { what: 'the greater height again' });
    const ids = heard.map(({ message }) => message.job.jobId);
    expect(new Set(ids).size).toBe(ids.length);
  });

  test('pays the address of the configuration', async () => {
    const devchain = acquired.use(await startTestDevchain());
    const { bus, last } = hearAnnouncements(mesh, 'devchain');
    await jobmanager('jm-1', [devchain]);
    const { job } = await waitFor(() => last('jm-1'));
    const target = { kind: 'instance', role: 'jobmanager', id: 'jm-1' } as const;
    await bus.call(target, blockSubmit, solve(job, 7, 'sha256d'));
    const [coinbase] = devchain.node.chain.block(devchain.node.chain.tip)?.transactions ?? [];
    const paid = coinbase?.outputs.map(({ script, valueSat }) => [hexFromBytes(script), valueSat]);
    expect(paid?.[0]).toEqual(['0014751e76e8199196d454941c45d1b3a323f1433bd6', 5_000_000_000n]);
  });
});
