import { Registry } from '@prometheus-io/client';
import { pino } from 'pino';
import { expect, suite, test } from 'vitest';
import { waitFor } from '#test/harness/wait-for.ts';
import type { BlockHeaderAnswer } from '#libs/coin-node/coin-nodes.ts';
import type { NodeAnswer } from '../core/settle.ts';
import { createJobMetrics } from '../metrics.ts';
import { BlockSubmitter } from './block-submitter.ts';

/** Two nodes that answer when the test says so. */
function twoNodes(header?: () => Promise<BlockHeaderAnswer | undefined>) {
  const rounds: PromiseWithResolvers<NodeAnswer>[][] = [];
  const submitter = new BlockSubmitter({
    chain: 'ltc',
    log: pino({ level: 'silent' }),
    metrics: createJobMetrics(new Registry()),
    nodes: {
      submitBlockToAll: () => {
        const round = [Promise.withResolvers<NodeAnswer>(), Promise.withResolvers<NodeAnswer>()];
        rounds.push(round);
        return round.map(({ promise }) => promise);
      },
      getBlockHeader: header ?? (() => Promise.resolve(undefined)),
    },
  });
  const answer = (round: number, node: number, outcome: NodeAnswer['outcome'], reason = '') =>
    rounds[round]?.[node]?.resolve({ node: `n${node}`, outcome, reason });
  return { submitter, rounds, answer };
}

const headerWith = (confirmations: number): BlockHeaderAnswer => ({
  hash: 'h',
  confirmations,
  height: 1,
  chainwork: '0',
  time: 0,
  bits: '207fffff',
  previousblockhash: undefined,
});

suite('BlockSubmitter', () => {
  test('answers with the first acceptance while another node is still busy', async () => {
    const { submitter, answer } = twoNodes();
    const fate = submitter.submit('h', '00');
    answer(0, 1, 'accepted');
    expect((await fate).outcome).toBe('accepted');
    let isIdle = false;
    const idle = submitter.idle().then(() => {
      isIdle = true;
    });
    expect(isIdle).toBe(false);
    answer(0, 0, 'unavailable', 'gone');
    await idle;
  });

  test('waits for all nodes before it says no', async () => {
    const { submitter, answer } = twoNodes();
    const fate = submitter.submit('h', '00');
    answer(0, 0, 'rejected', 'bad-txns');
    answer(0, 1, 'accepted');
    expect((await fate).outcome).toBe('accepted');
  });

  test('lets whoever brings the same block wait for the same answers, and remembers a fate', async () => {
    const { submitter, rounds, answer } = twoNodes();
    const fates = [submitter.submit('h', '00'), submitter.submit('h', '00')];
    answer(0, 0, 'rejected', 'bad-cb-amount');
    answer(0, 1, 'rejected', 'bad-cb-amount');
    expect((await Promise.all(fates)).map(({ outcome }) => outcome)).toEqual([
      'rejected',
      'rejected',
    ]);
    expect(await submitter.submit('h', '00')).toEqual({
      outcome: 'rejected',
      reason: 'bad-cb-amount',
    });
    expect(submitter.known('h')?.outcome).toBe('rejected');
    expect(rounds.length).toBe(1);
  });

  test('submits again what no node has answered for', async () => {
    const { submitter, rounds, answer } = twoNodes();
    const fate = submitter.submit('h', '00');
    answer(0, 0, 'unavailable', 'unreachable');
    answer(0, 1, 'unavailable', 'timeout');
    expect(await fate).toEqual({ outcome: 'unavailable', reason: 'n0: unreachable; n1: timeout' });
    await submitter.idle();
    const again = submitter.submit('h', '00');
    answer(1, 0, 'duplicate', 'duplicate');
    expect((await again).outcome).toBe('duplicate');
    expect(rounds.length).toBe(2);
  });

  test('asks where an inconclusive block stands until it is in the best chain', async () => {
    let asked = 0;
    const { submitter, answer } = twoNodes(() => {
      asked += 1;
      if (asked === 1) return Promise.reject(new Error('no node'));
      return Promise.resolve(headerWith(asked === 2 ? -1 : 1));
    });
    const fate = submitter.submit('h', '00');
    answer(0, 0, 'inconclusive', 'duplicate-inconclusive');
    answer(0, 1, 'unavailable');
    expect((await fate).outcome).toBe('accepted');
    expect(asked).toBe(3);
  });

  test('takes a block beside the best chain as known', async () => {
    const { submitter, answer } = twoNodes(() => Promise.resolve(headerWith(-1)));
    const fate = submitter.submit('h', '00');
    answer(0, 0, 'inconclusive', 'inconclusive');
    answer(0, 1, 'rejected', 'bad-prevblk');
    expect(await fate).toEqual({
      outcome: 'duplicate',
      reason: 'inconclusive: not in the best chain',
    });
  });

  test('takes at most 64 blocks at a time', async () => {
    const { submitter, answer, rounds } = twoNodes();
    const fates = Array.from({ length: 64 }, (_, index) => submitter.submit(`h${index}`, '00'));
    expect((await submitter.submit('one more', '00')).outcome).toBe('unavailable');
    expect(rounds.length).toBe(64);
    for (let round = 0; round < 64; round += 1) {
      answer(round, 0, 'accepted');
      answer(round, 1, 'accepted');
    }
    await Promise.all(fates);
    await submitter.idle();
    void submitter.submit('one more', '00');
    await waitFor(() => rounds.length === 65);
  });
});
