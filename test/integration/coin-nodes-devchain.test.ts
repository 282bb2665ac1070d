/** coin-nodes against devchain: ZMQ, going on with another node, coming back. */
import { Registry } from '@prometheus-io/client';
import { pino } from 'pino';
import { assert, suite, test } from 'vitest';
import { chainParams } from '#libs/bitcoin/chains.ts';
import type { BlockTemplate } from '#libs/coin-node/block-template.ts';
import { type CoinNodes, createCoinNodes } from '#libs/coin-node/coin-nodes.ts';
import { chainConfig, type NodeConfig } from '#libs/contracts/pool-config.ts';
import { type DevchainProcess, spawnDevchain, startTestDevchain } from '#test/harness/devchain.ts';
import { waitFor } from '#test/harness/wait-for.ts';

const NEVER_MS = 60_000;

function follow(configs: readonly NodeConfig[], pollMs: number) {
  const tips: { hash: string; source: string; node: string }[] = [];
  const templates: BlockTemplate[] = [];
  const metrics = new Registry();
  const nodes = createCoinNodes({
    chain: {
      ...chainConfig.parse({ chain: 'bitcoin', network: 'regtest', pollMs, nodes: configs }),
      id: 'devchain',
      isDevchain: true,
    },
    params: chainParams('bitcoin', 'regtest'),
    log: pino({ level: 'silent' }),
    metrics,
    nowMs: () => Date.now(),
    signal: new AbortController().signal,
    onTip: (hash, source, node) => tips.push({ hash, source, node }),
    onTemplate: (template) => templates.push(template),
  });
  return { nodes, tips, templates, metrics };
}

function currentOf(nodes: CoinNodes): string | undefined {
  return nodes.nodes.find(({ isCurrent }) => isCurrent)?.node;
}

function hostOf(node: { readonly url: string }): string {
  return new URL(node.url).host;
}

/** Gives the other one the best block of the one. */
async function relay(from: DevchainProcess, to: DevchainProcess): Promise<void> {
  const raw = await from.call('getblock', [await from.call('getbestblockhash'), 0]);
  await to.call('submitblock', [raw]);
}

suite('coin nodes, with devchain', () => {
  test('hear of a new block by ZMQ, each once, with its template', async () => {
    await using first = await startTestDevchain();
    await using second = await startTestDevchain();
    // Nobody polls: what the other one has is only heard of by ZMQ.
    const { nodes, tips, templates } = follow([first, second], NEVER_MS);
    await using _ = nodes;
    await waitFor(() => nodes.nodes.every(({ isHealthy }) => isHealthy));
    const other = currentOf(nodes) === hostOf(first) ? second : first;
    await waitFor(async () => {
      await other.call('devmine', [1]);
      return tips.some(({ source }) => source === 'zmq');
    });
    const [hash] = (await other.call('devmine', [1])) as string[];
    await waitFor(() => templates.at(-1)?.previousblockhash === hash);
    assert.equal(new Set(tips.map((tip) => tip.hash)).size, tips.length);
    assert.equal(currentOf(nodes), hostOf(other));
  });

  test('hear of a burst of blocks by whoever is first, and end on the last one', async () => {
    await using devchain = await startTestDevchain();
    const { nodes, tips, templates } = follow([devchain], 100);
    await using _ = nodes;
    await waitFor(() => templates.length > 0);
    const hashes = (await devchain.call('devmine', [30])) as string[];
    await waitFor(() => templates.at(-1)?.previousblockhash === hashes.at(-1));
    assert.equal(nodes.tip, hashes.at(-1));
    assert.equal(new Set(tips.map(({ hash }) => hash)).size, tips.length, 'each once');
  });

  test('follow a reorganisation back', async () => {
    await using devchain = await startTestDevchain();
    const { nodes, tips } = follow([devchain], 100);
    await using _ = nodes;
    await waitFor(() => nodes.isHealthy);
    const [first, second] = (await devchain.call('devmine', [2])) as string[];
    await waitFor(() => nodes.tip === second);
    await devchain.call('invalidateblock', [second]);
    await waitFor(() => nodes.tip === first);
    assert.equal((await nodes.getBlockHeader(second ?? ''))?.confirmations, -1);
    await devchain.call('reconsiderblock', [second]);
    await waitFor(() => nodes.tip === second);
    assert.equal(tips.at(-1)?.hash, second);
  });

  test('get new transactions by long poll, and share one call for simultaneous callers', async () => {
    await using devchain = await startTestDevchain({ longPollMempoolMs: 20 });
    const { nodes, templates, metrics } = follow([{ url: devchain.url }], NEVER_MS); // No ZMQ.
    await using _ = nodes;
    await waitFor(() => templates.length > 0);
    await devchain.call('devmempool', [3]);
    await waitFor(() => templates.at(-1)?.transactions.length === 3);
    const callsOf = async () => {
      const text = await metrics.getSingleMetricAsString('seam_coin_node_rpc_seconds');
      return Number(/count\{[^}]*method="getblocktemplate"[^}]*\} (\d+)/.exec(text)?.[1]);
    };
    const before = await callsOf();
    const all = await Promise.all(Array.from({ length: 5 }, () => nodes.getBlockTemplate()));
    assert.equal(new Set(all).size, 1);
    assert.equal(await callsOf(), before + 1);
  });

  test('go on with another node when the current one is killed', async () => {
    await using first = await spawnDevchain();
    await using second = await spawnDevchain();
    const { nodes, tips, templates } = follow([first, second], 100);
    await using _ = nodes;
    await waitFor(() => nodes.nodes.every(({ isHealthy }) => isHealthy));
    const used = currentOf(nodes) === hostOf(first) ? first : second;
    const spare = used === first ? second : first;
    await used.call('devmine', [1]);
    await relay(used, spare);
    await waitFor(() => nodes.nodes.every(({ height }) => height === 1));

    await used.kill('SIGKILL');
    await waitFor(() => currentOf(nodes) === hostOf(spare));
    assert.lengthOf(
      new Set(tips.map(({ hash }) => hash)),
      tips.length,
      'the same tip is not reported again',
    );
    const [hash] = (await spare.call('devmine', [1])) as string[];
    await waitFor(() => templates.at(-1)?.previousblockhash === hash);
    const raw = String(await nodes.getBlockRaw(hash ?? ''));

    await used.start();
    await waitFor(() => nodes.nodes.every(({ isHealthy }) => isHealthy));
    assert.equal(currentOf(nodes), hostOf(spare), 'who is back is behind, and not preferred');
    const outcomes = await Promise.all(nodes.submitBlockToAll(raw));
    assert.deepEqual(outcomes.map(({ outcome }) => outcome).toSorted(), ['accepted', 'duplicate']);
    await waitFor(() => nodes.nodes.every(({ tip }) => tip === hash));
  });

  test('say so when all are lost, keep the tip, and recover', async () => {
    await using devchain = await spawnDevchain();
    const { nodes, tips } = follow([devchain], 100);
    await using _ = nodes;
    await waitFor(() => nodes.isHealthy);
    const { tip } = nodes;
    await devchain.kill('SIGKILL');
    await waitFor(() => !nodes.isHealthy);
    const confirmedMs = nodes.lastConfirmedMs;
    assert.equal(nodes.tip, tip);
    const error = await nodes.getBlockTemplate().catch((failure: unknown) => failure);
    assert.equal((error as Error).name, 'NoNodeError');
    const outcomes = await Promise.all(nodes.submitBlockToAll('00'));
    assert.deepEqual(
      outcomes.map(({ outcome }) => outcome),
      ['unavailable'],
    );
    assert.isUndefined(await nodes.propose('00'));
    await devchain.start();
    await waitFor(() => nodes.isHealthy && (nodes.lastConfirmedMs ?? 0) > (confirmedMs ?? 0));
    assert.lengthOf(tips, 1, 'it is still the tip');
    const [hash] = (await devchain.call('devmine', [1])) as string[];
    await waitFor(() => nodes.tip === hash);
  });
});
