/** The whole mesh on a real chain: two litecoind on regtest, scrypt, MWEB, transactions in the blocks. */
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { startLitecoind, type TestLitecoind, whyNoLitecoind } from '#test/harness/litecoind.ts';
import { startMesh, type TestMesh } from '#test/harness/mesh.ts';
import { waitFor } from '#test/harness/wait-for.ts';
import { Miner } from '#tools/miner/miner.ts';
import { isInOrder } from '#tools/miner/report.ts';

const why = whyNoLitecoind();

const block = z
  .object({
    height: z.number(),
    confirmations: z.number(),
    tx: z.array(
      z
        .object({
          txid: z.string(),
          vin: z.array(z.object({ coinbase: z.string().optional() }).loose()),
          vout: z.array(
            z
              .object({
                value: z.number(),
                scriptPubKey: z
                  .object({ hex: z.string(), addresses: z.array(z.string()).optional() })
                  .loose(),
              })
              .loose(),
          ),
        })
        .loose(),
    ),
  })
  .loose();

/** [sat] from the node's decimal coins */
function satOf(coins: number): number {
  return Math.round(coins * 1e8);
}

describe('mining on litecoind', () => {
  let node: TestLitecoind;
  let mesh: TestMesh;
  let payout = '';
  const call = async (method: string, ...params: unknown[]) =>
    await node.rpc(node.nodes[0], method, params);
  const blockOf = async (hash: string) => block.parse(await call('getblock', hash, 2));

  beforeAll(async () => {
    if (why !== undefined) return;
    node = await startLitecoind({ withMweb: true });
    payout = String(await call('getnewaddress', '', 'bech32'));
    const nodes = node.nodes.map(({ url }) => ({ url }));
    mesh = await startMesh({
      config: {
        chains: [
          { id: 'ltc', chain: 'litecoin', network: 'regtest', nodes, payoutAddress: payout },
        ],
      },
      listeners: [{ name: 'scrypt', startDifficulty: 0.001, minDifficulty: 0.001 }],
    });
  }, 240_000);
  afterAll(async () => {
    await mesh?.[Symbol.asyncDispose]();
    await node?.[Symbol.asyncDispose]();
  }, 120_000);

  function newMiner(): Miner {
    return new Miner({
      url: `stratum+tcp://127.0.0.1:${mesh.ports['scrypt'] ?? 0}`,
      username: `${node.address}.rig${randomBytes(2).toString('hex')}`,
      algorithm: 'scrypt',
      hashrateHps: 80, // Every share solves a block there: about one a second, so that each is of a job of its own.
    });
  }

  test('blocks found through HAProxy are on both nodes, pay the configured address exactly, and carry transactions and MWEB', async (ctx) => {
    if (why !== undefined) return ctx.skip(why);
    const heightBefore = Number(await call('getblockcount'));
    const txid = String(await call('sendtoaddress', await call('getnewaddress'), 1.25));
    const mwebTxid = String(
      await call('sendtoaddress', await call('getnewaddress', '', 'mweb'), 2),
    );
    const mempool = async () => (await call('getrawmempool')) as string[];
    expect(await mempool()).toEqual(expect.arrayContaining([txid, mwebTxid]));

    const miner = newMiner();
    const blocks: string[] = [];
    miner.on('block', (hash, isAccepted) => isAccepted && blocks.push(hash));
    // Transactions come in with a refresh or with the job after the next block.
    await waitFor(async () => blocks.length >= 3 && !(await mempool()).includes(txid), {
      what: 'blocks with our transactions',
      timeoutMs: 120_000,
    });
    const report = await miner.stop();
    expect(report.problems).toEqual([]);
    expect(isInOrder(report)).toBe(true);
    expect(report.disconnects).toBe(0);
    await waitFor(async () => Number(await call('getblockcount')) > heightBefore, {
      what: 'the chain to grow',
    });

    const best = String(await call('getbestblockhash'));
    await waitFor(async () => (await node.rpc(node.nodes[1], 'getbestblockhash')) === best, {
      what: 'the other node to agree',
    });

    const transaction = z
      .object({ blockhash: z.string() })
      .loose()
      .parse(await call('gettransaction', txid));
    const withTransactions = await blockOf(transaction.blockhash);
    expect(withTransactions.confirmations).toBeGreaterThan(0);
    expect(withTransactions.tx.length).toBeGreaterThanOrEqual(3); // Coinbase, ours, HogEx.
    // The node's own statistics say what subsidy and fees were.
    const stats = z
      .object({ subsidy: z.number(), totalfee: z.number() })
      .loose()
      .parse(await call('getblockstats', transaction.blockhash));
    const [coinbase] = withTransactions.tx;
    const paid = (coinbase?.vout ?? []).map(({ value, scriptPubKey }) => ({
      sat: satOf(value),
      addresses: scriptPubKey.addresses ?? [],
      hex: scriptPubKey.hex,
    }));
    expect(paid.filter(({ sat }) => sat > 0).map(({ addresses }) => addresses)).toEqual([[payout]]);
    expect(paid[0]?.sat).toBe(stats.subsidy + stats.totalfee);
    expect(paid.some(({ hex }) => hex.startsWith('6a24aa21a9ed'))).toBe(true); // BIP 141 commitment.
    expect(coinbase?.vin[0]?.coinbase).toContain(Buffer.from('/Seam/').toString('hex'));
    // Last of all the HogEx, whose first output is the MWEB's: witness version 8 (Litecoin) or 9 (HogAddr).
    expect(withTransactions.tx.at(-1)?.vout[0]?.scriptPubKey.hex).toMatch(/^58|^59/);
  }, 180_000);

  test('the pool has each block recorded once, and its pages say this is no real money', async (ctx) => {
    if (why !== undefined) return ctx.skip(why);
    const page = z.object({
      blocks: z.array(
        z.object({ hash: z.string(), state: z.string(), valueSat: z.number() }).loose(),
      ),
    });
    const { blocks } = await waitFor(
      async () => {
        const parsed = page.parse(await mesh.getJson('/api/v1/blocks'));
        return parsed.blocks.length >= 3 && parsed.blocks.every(({ state }) => state === 'accepted')
          ? parsed
          : undefined;
      },
      { what: 'the blocks in the books' },
    );
    expect(new Set(blocks.map(({ hash }) => hash)).size).toBe(blocks.length);
    // At regtest's difficulty two of ours may meet at one height: the node knows both, one is in its chain.
    const known = await Promise.all(
      blocks.map(async ({ hash }) => (await blockOf(hash)).confirmations),
    );
    expect(known.filter((confirmations) => confirmations > 0).length).toBeGreaterThanOrEqual(1);
    expect(await mesh.errors()).toEqual([]);
  });
});
