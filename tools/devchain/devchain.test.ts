import { Subscriber } from 'zeromq';
import { afterAll, assert, beforeAll, suite, test } from 'vitest';
import { bytesFromHex } from '#libs/bitcoin/hex.ts';
import { assembleBlock } from '#libs/bitcoin/block.ts';
import { encodeHeader } from '#libs/bitcoin/header.ts';
import { meetsTarget, targetFromNbits } from '#libs/bitcoin/target.ts';
import { merkleBranch, rootFromBranch } from '#libs/bitcoin/merkle.ts';
import { internalFromDisplay } from '#libs/bitcoin/prevhash.ts';
import { encodeTransaction, parseTransaction } from '#libs/bitcoin/transaction.ts';
import { encodeHeight } from '#libs/bitcoin/height.ts';
import { concatBytes } from '#libs/bitcoin/bytes.ts';
import { powHash } from '#libs/bitcoin/hash.ts';
import { type BlockTemplate, blockTemplate } from '#libs/coin-node/block-template.ts';
import { readHashblock } from '#libs/coin-node/zmq-hashblock.ts';
import { spawnDevchain, startTestDevchain, type TestDevchain } from '#test/harness/devchain.ts';
import { waitFor } from '#test/harness/wait-for.ts';

/** A block as a pool makes it: coinbase and branch, not devchain's own way. */
function solve(template: BlockTemplate): string {
  const coinbase = encodeTransaction({
    version: 2,
    inputs: [
      {
        prevTxid: new Uint8Array(32),
        prevIndex: 0xffff_ffff,
        scriptSig: concatBytes(encodeHeight(template.height), Uint8Array.of(2, 7, 7)),
        sequence: 0xffff_fffe,
        witness: [],
      },
    ],
    outputs: [
      { valueSat: BigInt(template.coinbasevalue), script: Uint8Array.of(0x51) },
      { valueSat: 0n, script: bytesFromHex(template.default_witness_commitment ?? '') },
    ],
    lockTime: template.height - 1,
    hasWitness: false,
  });
  const branch = merkleBranch(template.transactions.map(({ txid }) => internalFromDisplay(txid)));
  const nbits = Number.parseInt(template.bits, 16);
  for (let nonce = 0; ; nonce += 1) {
    const header = encodeHeader({
      version: template.version,
      prevhash: internalFromDisplay(template.previousblockhash),
      merkleRoot: rootFromBranch(parseTransaction(coinbase).txid, branch),
      ntime: template.curtime,
      nbits,
      nonce,
    });
    if (!meetsTarget(powHash('sha256d', header), targetFromNbits(nbits))) continue;
    const transactions = template.transactions.map(({ data }) => bytesFromHex(data));
    return Buffer.from(assembleBlock({ header, coinbase, transactions, mweb: undefined })).toString(
      'hex',
    );
  }
}

suite('devchain over RPC', () => {
  let devchain: TestDevchain;
  beforeAll(async () => {
    devchain = await startTestDevchain({ longPollMempoolMs: 50 });
  });
  afterAll(() => devchain[Symbol.asyncDispose]());
  const call = (method: string, ...params: unknown[]) => devchain.call(method, params);
  const template = async () =>
    blockTemplate.parse(await call('getblocktemplate', { rules: ['segwit'] }));
  const failureOf = async (method: string, ...params: unknown[]) => {
    const error = (await call(method, ...params).catch((failure: unknown) => failure)) as {
      rpcCode?: number;
      detail?: string;
    };
    return [error.rpcCode, error.detail];
  };

  test('takes a block made from its template as a pool makes one, and shows it', async () => {
    await call('devmempool', 7);
    const work = await template();
    assert.lengthOf(work.transactions, 7);
    const hex = solve(work);
    assert.isNull(
      await call('getblocktemplate', { mode: 'proposal', data: hex, rules: ['segwit'] }),
    );
    assert.isNull(await call('submitblock', hex));
    assert.equal(await call('submitblock', hex), 'duplicate');
    const hash = await call('getbestblockhash');
    const header = (await call('getblockheader', hash)) as Record<string, unknown>;
    assert.include(header, {
      hash,
      height: 1,
      confirmations: 1,
      nTx: 8,
      previousblockhash: work.previousblockhash,
    });
    assert.equal(await call('getblock', hash, 0), hex);
    assert.equal(await call('getblockheader', hash, false), hex.slice(0, 160));
    const ids = (await call('getblock', hash)) as { tx: string[] };
    assert.deepEqual(
      ids.tx.slice(1),
      work.transactions.map(({ txid }) => txid),
    );
    const full = (await call('getblock', hash, 2)) as {
      tx: { hash: string; vin: { coinbase?: string }[] }[];
    };
    assert.deepEqual(
      full.tx.slice(1).map((each) => each.hash),
      work.transactions.map((each) => each.hash),
    );
    assert.equal(full.tx[0]?.vin[0]?.coinbase, '51020707');
    const coinbase = await call('getrawtransaction', ids.tx[0], true, hash);
    assert.include(coinbase as object, { txid: ids.tx[0], confirmations: 1, blockhash: hash });
    assert.equal(await call('getblockhash', 1), hash);
    assert.equal(await call('getblockcount'), 1);
  });

  test('refuses with the numbers and words of Core', async () => {
    assert.deepEqual(await failureOf('submitblock', '00'), [-22, 'Block decode failed']);
    assert.deepEqual(await failureOf('submitblock', 'xy'), [-22, 'Block decode failed']);
    assert.deepEqual(await failureOf('getblocktemplate', { mode: 'nope' }), [-8, 'Invalid mode']);
    assert.deepEqual(await failureOf('getblocktemplate', { mode: 'proposal', data: '00' }), [
      -22,
      'Block decode failed',
    ]);
    assert.deepEqual(await failureOf('getblockheader', '00'.repeat(32)), [-5, 'Block not found']);
    assert.deepEqual(await failureOf('getblockheader', '00'), [
      -8,
      'blockhash must be of length 64 (not 2)',
    ]);
    assert.deepEqual(await failureOf('getblockhash', 99_999), [-8, 'Block height out of range']);
    assert.deepEqual(await failureOf('nope'), [-32_601, 'Method not found']);
    assert.deepEqual(await failureOf('invalidateblock', '00'.repeat(32)), [-5, 'Block not found']);
    const [code, word] = await failureOf('getblocktemplate');
    assert.equal(code, -8);
    assert.include(String(word), 'must be called with the segwit rule set');
  });

  test('judges addresses', async () => {
    const good = 'bcrt1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqdku202';
    assert.include((await call('validateaddress', good)) as object, {
      isvalid: true,
      iswitness: true,
    });
    const bad = await call('validateaddress', 'bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4');
    assert.include(bad as object, { isvalid: false });
    assert.deepEqual((await failureOf('generatetoaddress', 1, 'nope'))[0], -5);
  });

  test('mines, and reorganises on demand', async () => {
    const [first, second] = (await call('devmine', 2)) as string[];
    await call('invalidateblock', first);
    const header = (await call('getblockheader', second)) as { confirmations: number };
    assert.equal(header.confirmations, -1);
    await call('reconsiderblock', first);
    assert.equal(await call('getbestblockhash'), second);
    const address = 'bcrt1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqdku202';
    assert.lengthOf((await call('generatetoaddress', 1, address)) as string[], 1);
  });

  test('holds a long poll until there is a new block, or new transactions', async () => {
    const { longpollid } = await template();
    const held = call('getblocktemplate', { rules: ['segwit'], longpollid });
    const [hash] = (await call('devmine', 1)) as string[];
    const next = blockTemplate.parse(await held);
    assert.equal(next.previousblockhash, hash);
    const again = call('getblocktemplate', { rules: ['segwit'], longpollid: next.longpollid });
    await call('devmempool', 2);
    assert.lengthOf(blockTemplate.parse(await again).transactions, 2);
  });

  test('takes a transaction by RPC and refuses it a second time', async () => {
    await using other = await startTestDevchain();
    const [txid] = (await other.call('devmempool', [1])) as string[];
    const raw = await other.call('getrawtransaction', [txid]);
    const copy = await startTestDevchain(); // The same genesis, so the same coins.
    await using _ = copy;
    assert.equal(await copy.call('sendrawtransaction', [raw]), txid);
    const again = (await copy
      .call('sendrawtransaction', [raw])
      .catch((error: unknown) => error)) as { rpcCode: number };
    assert.equal(again.rpcCode, -26);
    assert.deepEqual(await copy.call('getrawmempool'), [txid]);
  });

  test('refuses strangers, other verbs, and bodies that are too long', async () => {
    const url = `http://127.0.0.1:${devchain.rpcPort}/`;
    const authorization = `Basic ${Buffer.from('seam:p:ss/w@rd').toString('base64')}`;
    assert.equal((await fetch(url, { method: 'POST', body: '{}' })).status, 401);
    assert.equal((await fetch(url, { headers: { authorization } })).status, 405);
    const long = fetch(url, {
      method: 'POST',
      headers: { authorization },
      body: 'x'.repeat(16_000_001),
    });
    assert.equal(await long.then(({ status }) => status).catch(() => 413), 413);
    const answer = await fetch(url, {
      method: 'POST',
      headers: { authorization },
      body: 'no json',
    });
    assert.equal(((await answer.json()) as { error: { code: number } }).error.code, -32_700);
    const batch = await fetch(url, {
      method: 'POST',
      headers: { authorization },
      body: JSON.stringify([
        { id: 1, method: 'ping' },
        { id: 2, method: 'nope' },
      ]),
    });
    const answers = (await batch.json()) as { id: number; error: unknown }[];
    assert.deepEqual(
      answers.map(({ id, error }) => [id, error === null]),
      [
        [1, true],
        [2, false],
      ],
    );
  });

  test('publishes hashblock with a sequence without gaps', async () => {
    const socket = new Subscriber({ linger: 0 });
    let isConnected = false;
    socket.events.on('handshake', () => {
      isConnected = true;
    });
    socket.connect(devchain.zmqHashblock);
    socket.subscribe('hashblock');
    await waitFor(() => isConnected);
    const frames: (readonly [string, number])[] = [];
    const reading = (async () => {
      for await (const message of socket) {
        const frame = readHashblock(message);
        if (frame !== undefined) frames.push([frame.hash, frame.sequence]);
      }
    })();
    // The subscription may arrive after the handshake: mine until one is heard.
    await waitFor(async () => {
      await call('devmine', 1);
      return frames.length > 0;
    });
    const from = frames.length;
    const hashes = (await call('devmine', 3)) as string[];
    await waitFor(() => frames.length >= from + 3);
    assert.deepEqual(
      frames.slice(-3).map(([hash]) => hash),
      hashes,
    );
    const [first = 0, ...rest] = frames.map(([, sequence]) => sequence);
    assert.deepEqual(
      rest,
      rest.map((_, index) => first + index + 1),
    );
    socket.close();
    await reading;
  });
});

suite('devchain as a process', () => {
  test('keeps its chain through kill -9, holds its folder, and stops by RPC', async () => {
    await using devchain = await spawnDevchain();
    const hashes = (await devchain.call('devmine', [5])) as string[];
    await devchain.kill('SIGKILL');
    await devchain.start();
    assert.equal(await devchain.call('getbestblockhash'), hashes.at(-1));
    const error = await devchain.start().catch((failure: unknown) => failure);
    assert.include(String(error), 'devchain ended: 78');
    assert.equal(await devchain.call('stop'), 'devchain stopping');
    await waitFor(() => devchain.exitCode === 0);
  });

  test('of litecoin wants the mweb rule and gives no mweb', async () => {
    await using devchain = await spawnDevchain(['--chain', 'litecoin']);
    const refused = await devchain
      .call('getblocktemplate', [{ rules: ['segwit'] }])
      .catch((error: unknown) => error);
    assert.include(String(refused), 'segwit & mweb rule set');
    const template = blockTemplate.parse(
      await devchain.call('getblocktemplate', [{ rules: ['mweb', 'segwit'] }]),
    );
    assert.isUndefined(template.mweb);
    assert.lengthOf((await devchain.call('devmine', [2])) as string[], 2);
  });
});
