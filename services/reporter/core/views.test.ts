import { assert, describe, test } from 'vitest';
import { chainParams } from '#libs/bitcoin/chains.ts';
import { chainView, workerView } from '#libs/contracts/public-api.ts';
import {
  blockViewOf,
  type ChainBooks,
  type ChainFacts,
  chainViewOf,
  isRealChain,
  noteOf,
  workIn,
  workerViewOf,
} from './views.ts';

const NOW_MS = 1_700_000_000_000;
const HASH = '0'.repeat(8).padEnd(64, 'a');
const MAIN: ChainFacts = {
  ...{ id: 'btc', isDevchain: false, params: chainParams('bitcoin', 'main') },
};
const DEV: ChainFacts = {
  ...{ id: 'devchain', isDevchain: true, params: chainParams('bitcoin', 'regtest') },
};
const EMPTY: ChainBooks = {
  ...{ totals: {}, rejects: {}, round: {}, series: new Map(), workersActive: 0, blocks: [] },
};

describe('chainViewOf()', () => {
  test('shows an empty chain whole', () => {
    const view = chainViewOf(MAIN, EMPTY, undefined, NOW_MS);
    assert.deepEqual(chainView.parse(view), view);
    assert.deepInclude(view, {
      isReal: true,
      best: null,
      lastShare: null,
      networkDifficulty: null,
    });
    assert.deepInclude(view.round, { number: 1, work: '0', progress: null });
  });

  test('shows sums exactly and the round against the network', () => {
    const books: ChainBooks = {
      ...EMPTY,
      totals: {
        ...{ work: 'f'.repeat(32), shares: '12', round: '3', duplicates: '1', lost: '2' },
        ...{ best: '1e+21', bestWorker: 'w', bestMs: '5', lastMs: '6', lastWorker: 'v' },
      },
      rejects: { stale_job: '4' },
      round: { startMs: '7', work: '80008000', shares: '9', best: '11.5' },
    };
    const view = chainViewOf(MAIN, books, { height: 1, nbits: 0x1d00ffff }, NOW_MS);
    assert.deepEqual(chainView.parse(view), view);
    assert.equal(view.totals.work, ((1n << 128n) - 1n).toString());
    assert.deepInclude(view.totals, { duplicates: 1, lost: 2, rejected: { stale_job: 4 } });
    assert.equal(view.networkDifficulty, 1);
    assert.closeTo(view.round.progress ?? 0, 0.5, 0.001); // Half of the 2^32 hashes of difficulty 1.
    assert.deepEqual(view.best, { difficulty: 1e21, worker: 'w', timeMs: 5 });
  });

  test('shows odd values as none', () => {
    const totals = { work: 'x', shares: 'many', round: '-1', best: 'NaN', lastMs: '' };
    const view = chainViewOf(MAIN, { ...EMPTY, totals }, { height: 1, nbits: 0 }, NOW_MS);
    assert.deepEqual(chainView.parse(view), view);
    assert.deepInclude(view.totals, { work: '0', shares: 0 });
    assert.isNull(view.networkDifficulty);
  });
});

test('what is not real coins is said', () => {
  assert.isTrue(isRealChain(MAIN));
  assert.isFalse(isRealChain(DEV));
  assert.equal(noteOf([MAIN]), '');
  assert.match(noteOf([MAIN, DEV]), /devchain.*not real coins/);
  const testnet: ChainFacts = {
    ...{ id: 'tltc', isDevchain: false },
    params: chainParams('litecoin', 'test'),
  };
  assert.match(noteOf([testnet]), /tltc: a test network/);
});

test('a block shows what is known of it', () => {
  const fields = {
    ...{ state: 'accepted', mode: 'pool', height: '5', worker: 'w', timeMs: '1', settledMs: '2' },
    ...{
      reason: '',
      valueSat: '5000000000',
      round: '3',
      roundWork: '200020004',
      nbits: '486604799',
    },
  };
  const view = blockViewOf('btc', { hash: HASH, fields });
  assert.deepInclude(view, { state: 'accepted', height: 5, valueSat: 5_000_000_000, round: 3 });
  assert.closeTo(view.effort ?? 0, 2, 0.001);
  const bare = blockViewOf('btc', {
    hash: HASH,
    fields: { state: 'rejected', reason: 'high-hash' },
  });
  assert.deepInclude(bare, { height: null, worker: null, effort: null, reason: 'high-hash' });
});

test('a worker shows its sums, or nothing if it is unknown', () => {
  const fields = {
    work: 'ff',
    shares: '2',
    'rejected:stale_job': '3',
    lastMs: '9',
    lastDifficulty: '0.5',
  };
  const view = workerViewOf('btc', { name: 'a.b', fields, series: new Map() }, NOW_MS);
  assert.deepEqual(workerView.parse(view), view);
  assert.deepInclude(view, {
    work: '255',
    accepted: 2,
    difficulty: 0.5,
    rejected: { stale_job: 3 },
  });
  assert.isUndefined(workerViewOf('btc', { name: 'a', fields: {}, series: new Map() }, NOW_MS));
});

test('workIn() takes hex of at most 160 bits', () => {
  assert.equal(workIn({ work: 'f'.repeat(40) }, 'work'), (1n << 160n) - 1n);
  assert.equal(workIn({ work: 'f'.repeat(41) }, 'work'), 0n);
  assert.equal(workIn({}, 'work'), 0n);
});
