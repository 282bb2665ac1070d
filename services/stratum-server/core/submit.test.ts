import { describe, expect, test } from 'vitest';
import { chainParams } from '#libs/bitcoin/chains.ts';
import { prepareJob } from '#libs/mining/share-hash.ts';
import { makeJob } from './job.fixture.ts';
import { type BookEvent, emptyBook, type JobBook, stepBook } from './jobs.ts';
import type { Session } from './model.ts';
import { RecentShares } from './recent-shares.ts';
import { newSession } from './session.ts';
import { decideShare, type SubmitContext } from './submit.ts';
import { LISTENER, START_MS } from './transcript.fixture.ts';

const CHAIN = chainParams('bitcoin', 'regtest');
/** Every second hash solves its block. */
const job = makeJob({ id: 1 });

function bookWith(...events: readonly BookEvent[]): JobBook {
  const ready: BookEvent = { kind: 'sources_seen', ready: [{ id: 'a', startedMs: 1 }] };
  return [ready, ...events].reduce(
    (book, event) => stepBook(book, event, START_MS)[0],
    emptyBook('btc'),
  );
}

const announced = (announcedJob: typeof job): BookEvent => ({
  kind: 'job_announced',
  sourceId: 'a',
  startedMs: 1,
  job: announcedJob,
  tipAgeMs: 0,
  refused: [],
});

const session: Session = {
  ...newSession({
    conn: 'c1',
    peerAddress: '192.0.2.1',
    listener: LISTENER,
    openedMs: START_MS,
    sessionId: '5e55105e55105e55105e55105e551055',
  }),
  extranonce1: '0000002a',
  isSubscribed: true,
  difficulties: [{ difficulty: 1e-10, mark: '' }],
};

interface Case {
  readonly name: string;
  readonly reason: string;
  readonly session?: Session;
  readonly context?: Partial<SubmitContext>;
  readonly ntime?: number;
  readonly versionBits?: string;
  readonly isRepeated?: boolean;
}

const CASES: readonly Case[] = [
  { name: 'before its time', reason: 'ntime_too_old', ntime: job.mintime - 1 },
  { name: 'ahead of its time', reason: 'ntime_too_new', ntime: job.curtime + 7_201 },
  { name: 'sent before', reason: 'duplicate', isRepeated: true },
  { name: 'while there is no work', reason: 'no_work', context: { hasWork: false } },
  { name: 'of bits it may not roll', reason: 'bad_version_bits', versionBits: '00002000' },
  {
    name: 'of one that was told no difficulty',
    reason: 'unknown_job',
    session: { ...session, difficulties: [] },
  },
];

describe('decideShare()', () => {
  for (const { name, reason, isRepeated = false, ...wishes } of CASES) {
    test(`refuses a share ${name}, and gives the block it solves all the same`, () => {
      const decisions = Array.from({ length: 16 }, (_, nonce) => decide(nonce, wishes, isRepeated));
      const blocks = decisions.map((decision) => {
        expect(decision).toMatchObject({ kind: 'rejected', reason });
        return decision.kind === 'rejected' ? decision.share : undefined;
      });
      const found = blocks.filter((share) => share !== undefined);
      expect(found.length).toBeGreaterThan(0);
      expect(found.length).toBeLessThan(blocks.length);
      for (const { hash, prepared } of found) {
        expect(hash.powNumber <= prepared.networkTarget).toBe(true);
      }
    });
  }

  test('accepts a share of a height that has passed only if it solves the block', () => {
    const book = bookWith(announced(job), announced(makeJob({ id: 2, height: 101 })));
    const decisions = Array.from({ length: 16 }, (_, nonce) =>
      decide(nonce, { context: { book } }),
    );
    const kinds = decisions.map((decision) =>
      decision.kind === 'rejected' ? decision.reason : `${decision.kind}`,
    );
    expect(new Set(kinds)).toEqual(new Set(['accepted', 'stale_job']));
    for (const decision of decisions) {
      if (decision.kind === 'accepted') expect(decision.solvesBlock).toBe(true);
      if (decision.kind === 'rejected') expect(decision.share).toBeUndefined();
    }
  });
});

function decide(
  nonce: number,
  wishes: Pick<Case, 'session' | 'context' | 'ntime' | 'versionBits'>,
  isRepeated = false,
) {
  const { ntime = job.curtime, versionBits } = wishes;
  const params = ['w', job.jobId, '0000000000000000', hex32(ntime), hex32(nonce)];
  const recent = new RecentShares();
  const context: SubmitContext = {
    chain: CHAIN,
    book: bookWith(announced(job)),
    hasWork: true,
    arrivedMs: START_MS,
    prepare: (wanted) => prepareJob(wanted, CHAIN.algorithm, undefined),
    ...wishes.context,
  };
  const all = versionBits === undefined ? params : [...params, versionBits];
  const share = () => decideShare(wishes.session ?? session, recent, all, context);
  const first = share();
  if (!isRepeated) return first;
  if (first.kind === 'accepted') recent.add(first.share.hash.identity, job.height);
  return share();
}

function hex32(value: number): string {
  return value.toString(16).padStart(8, '0');
}
