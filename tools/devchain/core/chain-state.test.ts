import { assert, suite, test } from 'vitest';
import { concatBytes } from '#libs/bitcoin/bytes.ts';
import { bytesFromHex, hexFromBytes } from '#libs/bitcoin/hex.ts';
import {
  encodeTransaction,
  parseTransaction,
  type Transaction,
} from '#libs/bitcoin/transaction.ts';
import {
  buildBlock,
  createNode,
  MemoryLog,
  mineBlocks,
  NOW_MS,
  type Twist,
} from '../chain.fixture.ts';
import type { DevchainNode } from '../node.ts';
import { parametersOf, subsidyAt } from './parameters.ts';
import { parseBlock } from './parse-block.ts';
import { signSpend } from './wallet.ts';

const NOW_SEC = NOW_MS / 1_000;
const BIG_SCRIPT = new Uint8Array(1_100_000).fill(0x6a);

/** Edits the first transaction after the coinbase. */
function editFirst(edit: (transaction: Transaction) => Transaction): Twist['transactions'] {
  return ([first = '', ...rest]) => [
    hexFromBytes(encodeTransaction(edit(parseTransaction(bytesFromHex(first))))),
    ...rest,
  ];
}

function withScriptSig(scriptSig: Uint8Array): Twist['coinbase'] {
  return (coinbase) => ({
    ...coinbase,
    inputs: coinbase.inputs.map((input) => ({ ...input, scriptSig })),
  });
}

function withWitness(witness: readonly Uint8Array[]): Twist['coinbase'] {
  return (coinbase) => ({
    ...coinbase,
    hasWitness: witness.length > 0,
    inputs: coinbase.inputs.map((input) => ({ ...input, witness })),
  });
}

function withOutput(valueSat: bigint, script: Uint8Array): Twist['coinbase'] {
  return (coinbase) => ({ ...coinbase, outputs: [...coinbase.outputs, { valueSat, script }] });
}

const COMMITTED = { recommits: true } as const;

/** One row for each rule: what is wrong with the block, and Core's word for it. */
const REFUSALS: readonly (readonly [string, string, Twist])[] = [
  ['a hash above the target', 'high-hash', { isSolved: false }],
  ['bits that are no target', 'high-hash', { header: () => ({ nbits: 0x2080_0000 }) }],
  ['an easier target', 'bad-diffbits', { header: () => ({ nbits: 0x2100_ffff }) }],
  ['a harder target', 'bad-diffbits', { header: () => ({ nbits: 0x207f_fffe }) }],
  [
    'another merkle root',
    'bad-txnmrklroot',
    { header: () => ({ merkleRoot: new Uint8Array(32) }) },
  ],
  [
    'the last two transactions twice',
    'bad-txns-duplicate',
    { transactions: ([a = '', b = '']) => [a, b, b] },
  ],
  ['too many bytes', 'bad-blk-length', { coinbase: withOutput(0n, BIG_SCRIPT) }],
  ['a second coinbase', 'bad-cb-multiple', { transactions: (good) => [...good, secondCoinbase()] }],
  ['no outputs', 'bad-txns-vout-empty', { coinbase: (good) => ({ ...good, outputs: [] }) }],
  [
    'a negative amount',
    'bad-txns-vout-negative',
    { coinbase: withOutput(2n ** 63n, new Uint8Array()) },
  ],
  [
    'an amount above all coins',
    'bad-txns-vout-toolarge',
    { coinbase: withOutput(10n ** 16n, new Uint8Array()) },
  ],
  [
    'amounts above all coins together',
    'bad-txns-txouttotal-toolarge',
    { coinbase: withOutput(84n * 10n ** 14n, new Uint8Array()) },
  ],
  [
    'the same coin twice in a transaction',
    'bad-txns-inputs-duplicate',
    { transactions: editFirst((good) => ({ ...good, inputs: [...good.inputs, ...good.inputs] })) },
  ],
  [
    'a coinbase script too short',
    'bad-cb-length',
    { coinbase: withScriptSig(Uint8Array.of(0x51)) },
  ],
  [
    'a coinbase script too long',
    'bad-cb-length',
    { coinbase: withScriptSig(concatBytes(Uint8Array.of(0x51, 99), new Uint8Array(99))) },
  ],
  [
    'an input of nothing beside others',
    'bad-txns-prevout-null',
    {
      transactions: editFirst((good) => ({
        ...good,
        inputs: [
          ...good.inputs,
          ...good.inputs.map((input) => ({
            ...input,
            prevTxid: new Uint8Array(32),
            prevIndex: 0xffff_ffff,
          })),
        ],
      })),
    },
  ],
  [
    'too many signature checks',
    'bad-blk-sigops',
    { coinbase: withOutput(0n, new Uint8Array(20_001).fill(0xac)) },
  ],
  ['a time not after the median', 'time-too-old', { header: () => ({ ntime: 1_735_689_600 }) }],
  ['a time two hours ahead', 'time-too-new', { header: () => ({ ntime: NOW_SEC + 7_201 }) }],
  ['an old version', 'bad-version(0x00000003)', { header: () => ({ version: 3 }) }],
  ['a negative version', 'bad-version(0xe0000000)', { header: () => ({ version: 0xe000_0000 }) }],
  ['an unknown parent', 'prev-blk-not-found', { header: () => ({ prevhash: new Uint8Array(32) }) }],
  [
    'a lock time that is not over',
    'bad-txns-nonfinal',
    { coinbase: (good) => ({ ...good, lockTime: 1_000 }) },
  ],
  ['another height', 'bad-cb-height', { coinbase: withScriptSig(Uint8Array.of(0x59, 0, 0, 0)) }],
  ['no reserved value', 'bad-witness-nonce-size', { coinbase: withWitness([]) }],
  [
    'a short reserved value',
    'bad-witness-nonce-size',
    { coinbase: withWitness([new Uint8Array(31)]) },
  ],
  [
    'two reserved values',
    'bad-witness-nonce-size',
    { coinbase: withWitness([new Uint8Array(32), new Uint8Array(32)]) },
  ],
  [
    'another reserved value',
    'bad-witness-merkle-match',
    { coinbase: withWitness([new Uint8Array(32).fill(1)]) },
  ],
  [
    'a transaction that the commitment misses',
    'bad-witness-merkle-match',
    { transactions: (good) => good.slice(0, -1) },
  ],
  [
    'witnesses without a commitment',
    'unexpected-witness',
    { coinbase: (good) => ({ ...good, outputs: good.outputs.slice(0, 1) }) },
  ],
  [
    'too much weight',
    'bad-blk-weight',
    {
      ...COMMITTED,
      coinbase: withOutput(0n, BIG_SCRIPT.subarray(0, 900_000)),
      transactions: editFirst((good) => ({
        ...good,
        inputs: good.inputs.map((input) => ({ ...input, witness: [new Uint8Array(500_000)] })),
      })),
    },
  ],
  [
    'a coin that is not there',
    'bad-txns-inputs-missingorspent',
    {
      ...COMMITTED,
      transactions: editFirst((good) => ({
        ...good,
        inputs: good.inputs.map((input) => ({ ...input, prevTxid: new Uint8Array(32).fill(7) })),
      })),
    },
  ],
  [
    'a child without its parent',
    'bad-txns-inputs-missingorspent',
    { ...COMMITTED, transactions: (good) => good.slice(1) },
  ],
  [
    'more out than in',
    'bad-txns-in-belowout',
    {
      ...COMMITTED,
      transactions: editFirst((good) => ({
        ...good,
        outputs: good.outputs.map((output) => ({ ...output, valueSat: 101n * 10n ** 8n })),
      })),
    },
  ],
  [
    'an output changed after signing',
    'mandatory-script-verify-flag-failed (Signature must be zero for failed CHECK(MULTI)SIG operation)',
    {
      ...COMMITTED,
      transactions: editFirst((good) => ({
        ...good,
        outputs: good.outputs.map((output) => ({ ...output, valueSat: output.valueSat - 1n })),
      })),
    },
  ],
  [
    'somebody else’s key',
    'mandatory-script-verify-flag-failed (Witness program hash mismatch)',
    {
      ...COMMITTED,
      transactions: editFirst((good) => ({
        ...good,
        inputs: good.inputs.map((input) => ({
          ...input,
          witness: [
            input.witness[0] ?? new Uint8Array(),
            concatBytes(Uint8Array.of(2), new Uint8Array(32).fill(1)),
          ],
        })),
      })),
    },
  ],
  [
    'a satoshi too much for the miner',
    'bad-cb-amount',
    {
      coinbase: (good) => ({
        ...good,
        outputs: good.outputs.map((output, index) =>
          index === 0 ? { ...output, valueSat: output.valueSat + 1n } : output,
        ),
      }),
    },
  ],
];

function secondCoinbase(): string {
  const node = createNode();
  const { transactions } = parseBlock(buildBlock(node, node.template()));
  return hexFromBytes(transactions[0]?.raw ?? new Uint8Array());
}

/** A node at height 1 whose template has two transactions, the second spending the first. */
function nodeWithTransactions(): DevchainNode {
  const node = createNode();
  mineBlocks(node, 1);
  while (!node.template().transactions.some(({ depends }) => depends.length > 0))
    node.synthesize(1);
  return node;
}

function templateOfTwo(node: DevchainNode) {
  const [txid] = node.synthesize(1);
  const parent = node.mempool.entry(txid ?? '');
  const coin = node.mempool.coin(`${txid}:0`);
  if (parent === undefined || coin === undefined) throw new Error('no transaction');
  node.addTransaction(
    parseTransaction(signSpend([{ txid: parent.txid, index: 0, coin }], 1, 500n)),
  );
  return node.template();
}

suite('ChainState.submit()', () => {
  for (const [what, word, twist] of REFUSALS) {
    test(`refuses ${what} with ${word}`, () => {
      const node = createNode();
      mineBlocks(node, 1);
      const template = templateOfTwo(node);
      assert.lengthOf(template.transactions, 2);
      const tip = node.chain.tip.hash;
      assert.equal(node.submit(buildBlock(node, template, twist)), word);
      assert.equal(node.chain.tip.hash, tip);
      assert.isNull(node.submit(buildBlock(node, template)), 'the good block is taken after it');
    });
  }

  test('refuses a block without a coinbase', () => {
    const node = nodeWithTransactions();
    const good = parseBlock(buildBlock(node, node.template()));
    const [, first] = good.transactions;
    const raw = first?.raw ?? new Uint8Array();
    const merkleRoot = first?.txid ?? new Uint8Array(32);
    const solved = parseBlock(
      buildBlock(node, node.template(), { header: () => ({ merkleRoot }) }),
    );
    const bytes = concatBytes(solved.headerBytes, Uint8Array.of(1), raw);
    assert.equal(node.submit(bytes), 'bad-cb-missing');
  });

  test('throws for bytes that are not a block', () => {
    const node = createNode();
    const good = buildBlock(node, node.template());
    assert.throws(() => node.submit(good.subarray(0, -1)), SyntaxError);
    assert.throws(() => node.submit(concatBytes(good, Uint8Array.of(0))), SyntaxError);
    assert.throws(() => node.submit(new Uint8Array()), SyntaxError);
  });

  test('takes coins of a coinbase after 100 blocks and not before', () => {
    const node = createNode();
    mineBlocks(node, 1);
    const coinbase = node.chain.block(node.chain.tip)?.transactions[0];
    const txid = Buffer.from(coinbase?.txid ?? [])
      .reverse()
      .toString('hex');
    const coin = node.chain.coin(`${txid}:0`);
    if (coin === undefined) throw new Error('no coin');
    const spend = hexFromBytes(signSpend([{ txid, index: 0, coin }], 1, 1_000n));
    const withSpend: Twist = { ...COMMITTED, transactions: () => [spend] };
    mineBlocks(node, 98); // The next block has height 100: 99 after the coin.
    const early = buildBlock(node, node.template(), withSpend);
    assert.equal(node.submit(early), 'bad-txns-premature-spend-of-coinbase');
    mineBlocks(node, 1);
    assert.isNull(node.submit(buildBlock(node, node.template(), withSpend)));
    assert.isUndefined(node.chain.coin(`${txid}:0`));
  });

  test('says duplicate, duplicate-invalid and inconclusive as Core does', () => {
    const node = createNode();
    const template = node.template();
    const first = buildBlock(node, template);
    assert.isNull(node.submit(first));
    assert.equal(node.submit(first), 'duplicate');
    const rival = buildBlock(node, { ...template, curtime: template.curtime + 1 });
    assert.equal(node.submit(rival), 'inconclusive');
    assert.equal(node.submit(rival), 'duplicate-inconclusive');
    const next = node.template();
    const greedy = buildBlock(node, { ...next, coinbasevalue: next.coinbasevalue + 1 });
    assert.equal(node.submit(greedy), 'bad-cb-amount');
    assert.equal(node.submit(greedy), 'duplicate-invalid');
    const child = buildBlock(node, {
      ...next,
      height: 3,
      previousblockhash: parseBlock(greedy).hash,
    });
    assert.equal(node.submit(child), 'bad-prevblk');
  });
});

suite('ChainState reorganisation', () => {
  test('follows the most work, gives coins back and returns transactions to the mempool', () => {
    const node = createNode();
    mineBlocks(node, 1);
    const fork = node.template();
    node.synthesize(3);
    const tips: string[] = [];
    using _ = node.onTip((hash) => tips.push(hash));
    const [left] = mineBlocks(node, 1);
    assert.equal(node.mempool.size, 0);
    const coins = node.chain.ownCoins.size;

    const rival = parseBlock(buildBlock(node, { ...fork, curtime: fork.curtime + 5 }));
    assert.equal(node.submit(rival.raw), 'inconclusive');
    assert.equal(node.chain.tip.hash, left);
    const second = buildBlock(node, { ...fork, height: 3, previousblockhash: rival.hash });
    assert.isNull(node.submit(second));
    assert.deepEqual(
      tips,
      [left, parseBlock(second).hash],
      'the block on the way is not announced',
    );
    assert.equal(node.mempool.size, 3);
    assert.notEqual(node.chain.ownCoins.size, coins);
    mineBlocks(node, 1);
    assert.equal(node.mempool.size, 0, 'they are mined in the new chain');
  });

  test('stays on its chain when the longer one turns out invalid', () => {
    const node = createNode();
    const fork = node.template();
    const [left] = mineBlocks(node, 1);
    const greedy = parseBlock(
      buildBlock(node, {
        ...fork,
        coinbasevalue: fork.coinbasevalue + 1,
        curtime: fork.curtime + 5,
      }),
    );
    assert.equal(
      node.submit(greedy.raw),
      'inconclusive',
      'amounts are looked at when it is connected',
    );
    const later = { ...fork, curtime: fork.curtime + 10 };
    const child = buildBlock(node, { ...later, height: 2, previousblockhash: greedy.hash });
    assert.equal(node.submit(child), 'bad-prevblk');
    assert.equal(node.chain.tip.hash, left);
    assert.equal(node.submit(greedy.raw), 'duplicate-invalid');
    mineBlocks(node, 1);
  });

  test('goes back and forth with invalidateblock and reconsiderblock', () => {
    const node = createNode();
    const [first = '', second, third] = mineBlocks(node, 3);
    assert.isTrue(node.invalidate(second ?? ''));
    assert.equal(node.chain.tip.hash, first);
    assert.isFalse(node.invalidate('00'.repeat(32)));
    const [other] = mineBlocks(node, 1);
    assert.isTrue(node.reconsider(second ?? ''));
    assert.equal(node.chain.tip.hash, third);
    assert.equal(node.chain.entry(other ?? '')?.status, 'valid');
    assert.isFalse(node.invalidate(node.chain.genesis.hash));
  });
});

suite('ChainState.propose()', () => {
  test('judges everything but the proof of work', () => {
    const node = createNode();
    mineBlocks(node, 1);
    const template = templateOfTwo(node);
    const judge = (twist: Twist) => node.propose(parseBlock(buildBlock(node, template, twist)));
    assert.isNull(judge({ isSolved: false }));
    assert.equal(judge({ coinbase: withWitness([]) }), 'bad-witness-nonce-size');
    assert.equal(
      node.propose(parseBlock(buildBlock(node, { ...template, coinbasevalue: 10 ** 12 }))),
      'bad-cb-amount',
    );
    const stale = buildBlock(node, template);
    mineBlocks(node, 1);
    assert.equal(node.propose(parseBlock(stale)), 'inconclusive-not-best-prevblk');
    assert.equal(node.propose(node.chain.block(node.chain.tip) ?? node.chain.genesis), 'duplicate');
  });
});

suite('ChainState.replay()', () => {
  test('leads to the same state, invalid blocks and marks included', () => {
    const log = new MemoryLog();
    const node = createNode(undefined, log);
    const fork = node.template();
    mineBlocks(node, 1);
    templateOfTwo(node);
    const [second = ''] = mineBlocks(node, 1);
    const greedy = parseBlock(
      buildBlock(node, { ...fork, coinbasevalue: 10 ** 12, curtime: fork.curtime + 5 }),
    );
    node.submit(greedy.raw);
    const child = parseBlock(
      buildBlock(node, {
        ...fork,
        height: 2,
        previousblockhash: greedy.hash,
        curtime: fork.curtime + 10,
      }),
    );
    node.submit(child.raw);
    node.submit(
      buildBlock(node, {
        ...fork,
        height: 3,
        previousblockhash: child.hash,
        curtime: fork.curtime + 20,
      }),
    );
    node.invalidate(second);
    mineBlocks(node, 2);
    const size = log.records().length;
    const again = createNode(undefined, log);
    assert.equal(again.chain.tip.hash, node.chain.tip.hash);
    assert.deepEqual([...again.chain.ownCoins].toSorted(), [...node.chain.ownCoins].toSorted());
    assert.equal(log.records().length, size, 'reading writes nothing');
    assert.equal(again.submit(greedy.raw), 'duplicate-invalid');
    again.reconsider(second);
    node.reconsider(second);
    assert.equal(again.chain.tip.hash, node.chain.tip.hash);
  });
});

suite('subsidyAt()', () => {
  test('halves', () => {
    const parameters = parametersOf('bitcoin', 0x207f_ffff);
    assert.equal(subsidyAt(0, parameters), 5_000_000_000n);
    assert.equal(subsidyAt(209_999, parameters), 5_000_000_000n);
    assert.equal(subsidyAt(210_000, parameters), 2_500_000_000n);
    assert.equal(subsidyAt(210_000 * 64, parameters), 0n);
  });
});

suite('scrypt', () => {
  test('a litecoin-like chain judges blocks by their scrypt hash', () => {
    const node = createNode(parametersOf('litecoin', 0x207f_ffff));
    mineBlocks(node, 2);
    assert.equal(node.chain.tip.height, 2);
    assert.equal(node.submit(buildBlock(node, node.template(), { isSolved: false })), 'high-hash');
  });
});
