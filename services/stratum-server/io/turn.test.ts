import { Registry as MetricRegistry } from '@prometheus-io/client';
import { pino } from 'pino';
import { beforeEach, describe, expect, test } from 'vitest';
import type { BlockSubmit } from '#libs/contracts/block-submit.ts';
import { JournalError } from '#libs/journal/errors.ts';
import type { Journal } from '#libs/journal/journal.ts';
import type { JournalRecord } from '#libs/journal/record.ts';
import type { DownItem } from '#libs/link/items.ts';
import type { LinkPeer } from '#libs/link/link-server.ts';
import { makeJob } from '../core/job.fixture.ts';
import { createMetrics } from '../metrics.ts';
import type { ChainRuntime } from './chain-runtime.ts';
import { createTurn, type Turn } from './turn.ts';

/** What happened, in its order. */
let events: string[];
let turn: Turn;
let journalFails: boolean;

const peer = {
  send: (item: DownItem) => events.push(item.kind === 'ack' ? `ack ${item.seq}` : item.kind),
  flush: () => events.push('flush'),
} as unknown as LinkPeer; // The turn uses no more of it.

function chainOf(id: string): ChainRuntime {
  const appended: JournalRecord[] = [];
  const own = {
    append: (record: JournalRecord) => appended.push(record),
    flush() {
      events.push(`${id} wrote ${appended.length}`);
      if (journalFails) throw new JournalError('no_space', 'j', 'ENOSPC');
    },
  } as unknown as Journal; // Likewise.
  const blocks = { offer: ({ hash }: BlockSubmit) => events.push(`offered ${hash}`) };
  return { id, journals: { own }, blocks } as unknown as ChainRuntime;
}

const ack = (seq: number): DownItem => ({ kind: 'ack', handle: 1, opening: 1, seq });
const reject: JournalRecord = {
  kind: 'rejects',
  timeMs: 1,
  worker: 'w',
  reason: 'duplicate',
  count: 1,
};
const submission = {
  chain: 'btc',
  hash: 'h',
  header: '',
  coinbase: '',
  job: makeJob(),
  worker: 'w',
  foundMs: 1,
} satisfies BlockSubmit;

function share(chain: ChainRuntime, seq: number): void {
  turn.sendRecorded(peer, chain, reject, {
    items: [ack(seq)],
    failedItems: [ack(-seq)],
    onFailed: () => events.push(`failed ${seq}`),
  });
}

beforeEach(() => {
  events = [];
  journalFails = false;
  const metrics = createMetrics(new MetricRegistry(), ['btc']);
  const beforeFinish = () => events.push('finishing');
  turn = createTurn({ log: pino({ level: 'silent' }), metrics, beforeFinish });
});

describe('a turn', () => {
  test('writes once a chain before any answer leaves, in the order of the lines', async () => {
    const [btc, ltc] = [chainOf('btc'), chainOf('ltc')];
    share(btc, 1);
    turn.send(peer, [ack(2)]);
    share(ltc, 3);
    share(btc, 4);
    expect(events).toEqual([]);
    await new Promise((resolve) => setImmediate(resolve));
    expect(events).toEqual([
      'finishing',
      'btc wrote 2',
      'ltc wrote 1',
      'ack 1',
      'ack 2',
      'ack 3',
      'ack 4',
      'flush',
    ]);
  });

  test('whose write fails answers its shares otherwise, and sends the block all the same', () => {
    const btc = chainOf('btc');
    journalFails = true;
    share(btc, 1);
    turn.send(peer, [ack(2)]);
    turn.solve(btc, submission);
    turn.finish();
    expect(events).toEqual([
      'finishing',
      'btc wrote 2',
      'offered h',
      'failed 1',
      'ack -1',
      'ack 2',
      'flush',
    ]);
  });

  test('without a journal is like one whose write fails', () => {
    const chain = { ...chainOf('btc'), journals: { own: undefined } } as unknown as ChainRuntime;
    share(chain, 1);
    turn.solve(chain, submission);
    turn.finish();
    expect(events).toEqual(['finishing', 'offered h', 'failed 1', 'ack -1', 'flush']);
  });

  test('with nothing in it does nothing', () => {
    turn.finish();
    expect(events).toEqual(['finishing']);
  });
});
