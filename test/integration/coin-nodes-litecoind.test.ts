/** coin-nodes against two real litecoind. Blocks are found by long poll and by poll: Debian's litecoind has no ZMQ. */
import { Registry } from '@prometheus-io/client';
import { pino } from 'pino';
import { afterAll, assert, beforeAll, suite, test } from 'vitest';
import { chainParams } from '#libs/bitcoin/chains.ts';
import type { BlockTemplate } from '#libs/coin-node/block-template.ts';
import { type CoinNodes, createCoinNodes } from '#libs/coin-node/coin-nodes.ts';
import { chainConfig } from '#libs/contracts/pool-config.ts';
import { startLitecoind, type TestLitecoind, whyNoLitecoind } from '#test/harness/litecoind.ts';
import { waitFor } from '#test/harness/wait-for.ts';

interface Seen {
  readonly nodes: CoinNodes;
  readonly tips: { hash: string; source: string; node: string }[];
  readonly templates: BlockTemplate[];
}

function follow(
  urls: readonly string[],
  options: { readonly pollMs?: number; readonly network?: 'main' | 'regtest' } = {},
): Seen {
  const { pollMs = 1_000, network = 'regtest' } = options;
  const tips: Seen['tips'] = [];
  const templates: BlockTemplate[] = [];
  const nodes = createCoinNodes({
    chain: {
      ...chainConfig.parse({
        chain: 'litecoin',
        network,
        pollMs,
        nodes: urls.map((url) => ({ url })),
      }),
      id: 'ltc',
      isDevchain: false,
    },
    params: chainParams('litecoin', network),
    log: pino({ level: 'silent' }),
    metrics: new Registry(),
    nowMs: () => Date.now(),
    signal: new AbortController().signal,
    onTip: (hash, source, node) => tips.push({ hash, source, node }),
    onTemplate: (template) => templates.push(template),
  });
  return { nodes, tips, templates };
}

const WHY_SKIPPED = whyNoLitecoind();
// A skipped suite tells its reason by its name.
const NAME = ['coin nodes, with litecoind', WHY_SKIPPED].filter(Boolean).join(': ');
suite.skipIf(WHY_SKIPPED !== undefined)(NAME, () => {
  let litecoind: TestLitecoind;
  beforeAll(async () => {
    litecoind = await startLitecoind();
  });
  afterAll(() => litecoind[Symbol.asyncDispose]());
  const urlsOf = () => litecoind.nodes.map(({ url }) => url);
  const [first, second] = [() => litecoind.nodes[0], () => litecoind.nodes[1]];

  test('gives a template of the best block, and reports that block once', async () => {
    const { nodes, tips, templates } = follow(urlsOf());
    await using _ = nodes;
    await nodes.verifyChain();
    const template = await waitFor(() => templates[0]);
    const best = await first().call('getbestblockhash');
    assert.equal(template.previousblockhash, best);
    assert.deepEqual(
      tips.map(({ hash }) => hash),
      [best],
    );
    assert.equal((await nodes.getBlockTemplate()).previousblockhash, best);
    assert.equal(await nodes.getBestBlockHash(), best);
    assert.isTrue(nodes.isHealthy);
    assert.isBelow(nodes.lastTipAgeMs(), 60_000);
  });

  test('hears of a new block by long poll when the poll sleeps', async () => {
    const { nodes, tips, templates } = follow(urlsOf().slice(0, 1), { pollMs: 60_000 });
    await using _ = nodes;
    await waitFor(() => templates.length > 0);
    const [hash] = await litecoind.mine(1);
    await waitFor(() => tips.at(-1)?.hash === hash);
    assert.equal(tips.at(-1)?.source, 'longpoll');
    await waitFor(() => templates.at(-1)?.previousblockhash === hash);
  });

  test('leaves a node that falls behind for one with more work', async () => {
    const { nodes, tips, templates } = follow(urlsOf(), { pollMs: 100 });
    await using _ = nodes;
    await waitFor(() => templates.length > 0 && nodes.nodes.every(({ isHealthy }) => isHealthy));
    const used = litecoind.nodes.find(({ url }) => hostOf(url) === currentOf(nodes)) ?? first();
    const best = await nodes.getBestBlockHash();
    await used.call('invalidateblock', [best]);
    await waitFor(() => currentOf(nodes) !== hostOf(used.url) && tips.at(-1)?.hash === best);
    assert.equal((await nodes.getBlockTemplate()).previousblockhash, best);
    await used.call('reconsiderblock', [best]);
    await waitFor(() => nodes.nodes.every(({ tip }) => tip === best));
    assert.notEqual(currentOf(nodes), hostOf(used.url), 'who just became current stays');
  });

  test('tells what each node says to a block', async () => {
    const { nodes } = follow(urlsOf());
    await using _ = nodes;
    await waitFor(() => nodes.isHealthy);
    await isolate(litecoind, true);
    const [mine] = (await first().call('generatetoaddress', [1, litecoind.address])) as string[];
    // Another address: in the same second the two would find the very same block.
    const rivalAddress = await first().call('getnewaddress');
    const [other] = (await second().call('generatetoaddress', [1, rivalAddress])) as string[];
    const [block, rival] = await Promise.all([
      first().call('getblock', [mine, 0]),
      second().call('getblock', [other, 0]),
    ]);
    const submit = async (hex: unknown) => {
      const answers = await Promise.all(nodes.submitBlockToAll(String(hex)));
      return answers.map(({ outcome, reason }) => [outcome, reason]);
    };
    assert.deepEqual(await submit(block), [
      ['duplicate', 'duplicate'],
      ['inconclusive', 'inconclusive'],
    ]);
    assert.deepEqual(await submit(rival), [
      ['inconclusive', 'inconclusive'],
      ['duplicate', 'duplicate'],
    ]);
    // The second node knows the header only, so it looks at the transactions.
    const changed = String(block).replace(/00000000$/, '01000000'); // The coinbase's lock time.
    assert.deepEqual(await submit(changed), [
      ['duplicate', 'duplicate'],
      ['rejected', 'bad-txnmrklroot'],
    ]);
    const unreadable = [
      ['rejected', 'Block decode failed'],
      ['rejected', 'Block decode failed'],
    ];
    assert.deepEqual(await submit('00'), unreadable);

    const [next] = (await first().call('generatetoaddress', [1, litecoind.address])) as string[];
    await second().call('invalidateblock', [other]);
    const [, onSecond] = await submit(await first().call('getblock', [next, 0]));
    assert.deepEqual(onSecond, ['accepted', '']);
    await second().call('reconsiderblock', [other]);
    await isolate(litecoind, false);
  });

  test('looks up headers and raw blocks, and says if nobody knows them', async () => {
    const { nodes } = follow(urlsOf());
    await using _ = nodes;
    await waitFor(() => nodes.isHealthy);
    const best = await nodes.getBestBlockHash();
    const header = await nodes.getBlockHeader(best);
    assert.equal(header?.confirmations, 1);
    assert.equal(await nodes.getBlockRaw(best), await first().call('getblock', [best, 0]));
    assert.isUndefined(await nodes.getBlockHeader('00'.repeat(32)));
    assert.isUndefined(await nodes.getBlockRaw('00'.repeat(32)));
  });

  test('asks a node for its verdict on a proposal', async () => {
    const { nodes } = follow(urlsOf());
    await using _ = nodes;
    await waitFor(() => nodes.isHealthy);
    const block = await nodes.getBlockRaw(await nodes.getBestBlockHash());
    assert.equal(await nodes.propose(String(block)), 'duplicate');
    assert.equal(await nodes.propose('00'), 'Block decode failed');
  });

  test('sees a killed node go and come back, and what the living one says counts', async () => {
    const { nodes, tips } = follow(urlsOf(), { pollMs: 100 });
    await using _ = nodes;
    await waitFor(() => nodes.nodes.every(({ isHealthy }) => isHealthy));
    // The first one then has no peer, and litecoind gives no template without: going on with another node is
    // tested with devchain.
    await second().kill();
    await waitFor(() => nodes.nodes[1]?.reason === 'unreachable');
    const answers = await Promise.all(
      nodes.submitBlockToAll(String(await first().call('getblock', [nodes.tip, 0]))),
    );
    assert.deepEqual(
      answers.map(({ outcome }) => outcome),
      ['duplicate', 'unavailable'],
    );
    await second().start();
    await waitFor(() => nodes.nodes.every(({ isHealthy }) => isHealthy), { timeoutMs: 50_000 });
    const [hash] = await litecoind.mine(1);
    await waitFor(() => tips.at(-1)?.hash === hash);
    assert.equal((await nodes.getBlockTemplate()).previousblockhash, hash);
  });

  test('without any node says so, and how old its last word is', async () => {
    const { nodes } = follow(['http://u:p@127.0.0.1:1/']);
    await using _ = nodes;
    await waitFor(() => nodes.nodes[0]?.reason === 'unreachable');
    assert.isFalse(nodes.isHealthy);
    assert.equal(nodes.lastTipAgeMs(), Number.POSITIVE_INFINITY);
    const error = await nodes.getBlockTemplate().catch((failure: unknown) => failure);
    assert.equal((error as Error).name, 'NoNodeError');
    assert.notInclude((error as Error).message, 'u:p');
  });

  test('refuses a node of another network, and one with another password', async () => {
    const { nodes } = follow(urlsOf(), { network: 'main' });
    await using _ = nodes;
    const error = await nodes.verifyChain().catch((failure: unknown) => failure);
    assert.equal((error as Error).name, 'WrongChainError');
    assert.include((error as Error).message, 'litecoin regtest');
    assert.isFalse(nodes.isHealthy);

    const { nodes: strangers } = follow([`http://seam:no@127.0.0.1:${first().rpcPort}/`]);
    await using __ = strangers;
    await waitFor(() => strangers.nodes[0]?.reason === 'unauthorized');
  });
});

async function isolate(litecoind: TestLitecoind, isAlone: boolean): Promise<void> {
  for (const node of litecoind.nodes) await node.call('setnetworkactive', [!isAlone]);
  const count = async () => Number(await litecoind.nodes[1].call('getconnectioncount'));
  await waitFor(async () => (await count()) > 0 !== isAlone, { timeoutMs: 60_000 });
}

function hostOf(url: string): string {
  return new URL(url).host;
}

function currentOf(nodes: CoinNodes): string | undefined {
  return nodes.nodes.find(({ isCurrent }) => isCurrent)?.node;
}
