/** Tables of the small decisions. */
import fc from 'fast-check';
import { expect, suite, test } from 'vitest';
import blocks from '#test/vectors/blocks.json' with { type: 'json' };
import { WireError } from '#libs/bitcoin/errors.ts';
import { bytesFromHex } from '#libs/bitcoin/hex.ts';
import type { Job } from '#libs/contracts/job.ts';
import { activeSource, relayTarget, type Source } from './active-source.ts';
import { ageTemplate, judgeArrival, withLaterClock } from './announce.ts';
import { chooseChain } from './choose-chain.ts';
import {
  currentJob,
  findJob,
  isCurrentHeight,
  type JobShelf,
  liveJobs,
  putOnShelf,
} from './job-shelf.ts';
import { make, payments } from './jobs.fixture.ts';
import { judgeReadiness } from './readiness.ts';
import { readRelayedBlock } from './relayed-block.ts';
import { isUndecided, type NodeAnswer, settleAll, settleEarly } from './settle.ts';

suite('activeSource()', () => {
  const source = (id: string, startedMs: number, parent = 'p'): Source => ({
    id,
    bootId: `boot-${id}`,
    startedMs,
    parent,
  });

  test('is the oldest, of equals the one with the lower id', () => {
    expect(activeSource([source('b', 2), source('a', 3), source('c', 2)])?.id).toBe('b');
    expect(activeSource([])).toBeUndefined();
  });
  test.each([
    ['we are it', [source('self', 1), source('b', 2)], undefined],
    ['it builds on the block', [source('self', 2), source('b', 1, 'tip')], undefined],
    ['nobody is ready', [], undefined],
    ['it builds on another block', [source('self', 2), source('b', 1)], 'b'],
    ['we are not ready', [source('b', 1)], 'b'],
  ])('is told of a block or not: %s', (_, ready, target) => {
    expect(relayTarget(ready, 'boot-self', 'tip')?.id).toBe(target);
  });
});

suite('announcements', () => {
  const { job } = make(payments);
  test('a template of another parent, higher or lower, goes out at once', () => {
    expect(judgeArrival(payments, undefined)).toBe('new_block');
    expect(judgeArrival(payments, job)).toBe('keep');
    expect(judgeArrival(payments, { ...job, parent: '00'.repeat(32) })).toBe('new_block');
  });
  test('without a node the clock of the last template goes on until the work is stale', () => {
    expect(ageTemplate(payments, 25_999, 119_999, 120_000)?.curtime).toBe(payments.curtime + 25);
    expect(ageTemplate(payments, -5, 0, 120_000)?.curtime).toBe(payments.curtime);
    expect(ageTemplate(payments, 25_000, 120_000, 120_000)).toBeUndefined();
    expect(ageTemplate(payments, 25_000, Number.POSITIVE_INFINITY, 120_000)).toBeUndefined();
  });
  test('other content is a second away, also from a clock that is behind', () => {
    expect(withLaterClock(payments).curtime).toBe(payments.curtime + 1);
    expect(withLaterClock({ ...payments, curtime: 1 }).curtime).toBe(payments.mintime + 1);
  });
});

suite('job shelf', () => {
  const { job } = make(payments);
  const at = (jobId: string, height: number, parent = `parent-${height}`): Job => ({
    ...job,
    jobId,
    height,
    parent,
  });
  const fill = (entries: readonly (readonly [Job, number])[]): JobShelf =>
    entries.reduce<JobShelf>((shelf, [each, nowMs]) => putOnShelf(shelf, each, nowMs), []);

  test('knows a job for five minutes and for two blocks, whichever is longer', () => {
    const shelf = fill([
      [at('a', 10), 0],
      [at('b', 11), 1_000],
      [at('c', 12), 2_000],
      [at('d', 12), 400_000],
    ]);
    expect(shelf.map((each) => each.job.jobId)).toEqual(['b', 'c', 'd']); // 'a' is two blocks and five minutes old.
    expect(findJob(shelf, 'b')?.height).toBe(11);
    expect(findJob(shelf, 'a')).toBeUndefined();
    const young = fill([
      [at('a', 10), 0],
      [at('b', 15), 299_999],
    ]);
    expect(findJob(young, 'a')?.height).toBe(10);
  });
  test('has each job once, the newest last', () => {
    const shelf = fill([
      [at('a', 10), 0],
      [at('b', 10), 1],
      [at('a', 10), 2],
    ]);
    expect(shelf.map((each) => each.job.jobId)).toEqual(['b', 'a']);
    expect(currentJob(shelf)?.jobId).toBe('a');
    expect(currentJob([])).toBeUndefined();
  });
  test('gives those on the parent that is mined on, newest last, at most so many', () => {
    const shelf = fill([
      [at('a', 10), 0],
      [at('b', 11), 1],
      [at('c', 11), 2],
      [at('d', 11), 3],
    ]);
    expect(liveJobs(shelf, 2).map(({ jobId }) => jobId)).toEqual(['c', 'd']);
    expect(liveJobs(shelf, 64).map(({ jobId }) => jobId)).toEqual(['b', 'c', 'd']);
  });
  test('tells heights that are over', () => {
    const shelf = fill([
      [at('a', 10), 0],
      [at('b', 11), 1],
    ]);
    expect([9, 10, 11, 12].map((height) => isCurrentHeight(shelf, at('x', height)))).toEqual([
      false,
      false,
      true,
      true,
    ]);
    expect(isCurrentHeight([], at('x', 1))).toBe(true);
  });
  test('is bounded', () => {
    const shelf = fill(
      Array.from({ length: 600 }, (_, index) => [at(`j${index}`, 10), index] as const),
    );
    expect(shelf.length).toBe(512);
    expect(currentJob(shelf)?.jobId).toBe('j599');
  });
});

suite('settle', () => {
  const answer = (outcome: NodeAnswer['outcome'], reason = ''): NodeAnswer => ({
    node: 'n',
    outcome,
    reason,
  });

  test.each([
    ['accepted', 'accepted'],
    ['duplicate', 'duplicate'],
    ['rejected', undefined],
    ['inconclusive', undefined],
    ['unavailable', undefined],
  ] as const)('%s alone settles early as %s', (outcome, expected) => {
    expect(settleEarly(answer(outcome))?.outcome).toBe(expected);
  });
  test.each([
    [
      'one acceptance wins over anything',
      [answer('rejected', 'x'), answer('accepted')],
      'unknown',
      'accepted',
    ],
    ['so does a duplicate', [answer('rejected', 'x'), answer('duplicate')], 'unknown', 'duplicate'],
    [
      'a refusal is final, even if another node is away',
      [answer('unavailable'), answer('rejected', 'bad-txns')],
      'unknown',
      'rejected',
    ],
    [
      'a missing parent may come',
      [answer('rejected', 'prev-blk-not-found')],
      'unknown',
      'unavailable',
    ],
    [
      'a fast clock may be caught up with',
      [answer('rejected', 'time-too-new')],
      'unknown',
      'unavailable',
    ],
    ['nobody there', [answer('unavailable'), answer('unavailable')], 'unknown', 'unavailable'],
    ['no node at all', [], 'unknown', 'unavailable'],
    ['inconclusive, but the best block by now', [answer('inconclusive')], 'best_chain', 'accepted'],
    [
      'inconclusive and beside the best chain',
      [answer('inconclusive', 'inconclusive')],
      'side_chain',
      'duplicate',
    ],
    ['inconclusive and nobody knows it', [answer('inconclusive')], 'unknown', 'unavailable'],
    [
      'inconclusive here, refused there',
      [answer('inconclusive'), answer('rejected', 'bad-txns')],
      'unknown',
      'rejected',
    ],
  ] as const)('%s', (_, answers, standing, outcome) => {
    expect(settleAll(answers, standing).outcome).toBe(outcome);
  });
  test('a node is asked where the block stands only if nobody said yes', () => {
    expect(isUndecided([answer('inconclusive'), answer('rejected')])).toBe(true);
    expect(isUndecided([answer('inconclusive'), answer('accepted')])).toBe(false);
    expect(isUndecided([answer('unavailable')])).toBe(false);
  });
});

suite('judgeReadiness()', () => {
  test.each([
    [false, 0, 'no coin node has given a template yet'],
    [true, 119_999, ''],
    [true, 120_000, 'no coin node has confirmed the tip for 120 s'],
    [true, Number.POSITIVE_INFINITY, 'no coin node has confirmed the tip for 120 s'],
  ])('with job: %s, tip confirmed %i ms ago: "%s"', (hasJob, tipAgeMs, reason) => {
    const judged = judgeReadiness({ hasJob, tipAgeMs }, 120_000);
    expect(judged.isReady ? '' : judged.reason).toBe(reason);
  });
});

suite('chooseChain()', () => {
  test('is the one with the fewest jobmanagers, of equals the first', () => {
    expect(chooseChain(['btc', 'ltc'], [])).toBe('btc');
    expect(chooseChain(['btc', 'ltc'], ['btc'])).toBe('ltc');
    expect(chooseChain(['btc', 'ltc'], ['btc', 'ltc', 'ltc', 'gone', 'gone'])).toBe('btc');
    expect(chooseChain([], [])).toBeUndefined();
  });
});

suite('readRelayedBlock()', () => {
  for (const { note, block, hash, height } of blocks.blocks) {
    test(`names ${note}`, () => {
      expect(readRelayedBlock(bytesFromHex(block))).toEqual({ hash, height });
    });
  }
  test('refuses any other bytes with a WireError', () => {
    const block = bytesFromHex(blocks.blocks[0]?.block ?? '');
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array({ maxLength: 300 }),
          fc.nat(250).map((length) => block.subarray(0, length)),
        ),
        (bytes) => {
          expect(() => readRelayedBlock(bytes)).toThrow(WireError);
        },
      ),
    );
    expect(() => readRelayedBlock(new Uint8Array(8_000_001))).toThrow(
      expect.objectContaining({ code: 'too_large' }),
    );
  });
});
