/** The methods of the JSON-RPC: those of Bitcoin Core a pool uses, and some of devchain's own. */
import { setTimeout as sleep } from 'node:timers/promises';
import { scriptFromAddress } from '#libs/bitcoin/address.ts';
import { type ChainParams, chainParams } from '#libs/bitcoin/chains.ts';
import { bytesFromHex, hexFromBytes } from '#libs/bitcoin/hex.ts';
import { encodeHeader } from '#libs/bitcoin/header.ts';
import { parseTransaction } from '#libs/bitcoin/transaction.ts';
import { isCoinbase } from './core/check-block.ts';
import type { Block, BlockEntry } from './core/model.ts';
import { parseBlock } from './core/parse-block.ts';
import { nbitsHex, targetHex } from './core/template.ts';
import {
  chainworkHex,
  confirmationsOf,
  describeBlock,
  describeHeader,
  describeTransaction,
  difficultyOf,
} from './describe.ts';
import { RPC, RpcFailure } from './errors.ts';
import { type DevchainNode, isWireError } from './node.ts';
import { Params } from './params.ts';
import type { Call } from './io/rpc-server.ts';

export interface MethodsOptions {
  readonly node: DevchainNode;
  readonly nowMs: () => number;
  readonly startedMs: number;
  readonly zmqEndpoint: string;
  /** [bytes] of the chain's file */
  readonly bytesOnDisk: () => number;
  /** [ms] after which a long poll is answered because the mempool changed */
  readonly longPollMempoolMs: number;
  readonly onStop: () => void;
}

type Method = (params: Params, signal: AbortSignal) => unknown;

const WARNING = 'devchain: these are not real coins';
const MINE_MAX = 1_000;
const MEMPOOL_ADD_MAX = 1_000;
const LONG_POLLS_MAX = 64;

/** What the RPC server calls. */
export function createCall(options: MethodsOptions): Call {
  const methods = new Map(
    Object.entries({ ...chainMethods(options), ...miningMethods(options), ...ownMethods(options) }),
  );
  methods.set('help', () => [...methods.keys()].toSorted().join('\n'));
  return async (name, params, signal) => {
    const method = methods.get(name);
    if (method === undefined) throw new RpcFailure(RPC.methodNotFound, 'Method not found');
    return await method(new Params(params), signal);
  };
}

function chainMethods({ node, bytesOnDisk }: MethodsOptions): Record<string, Method> {
  const { chain, mempool } = node;
  const known = (params: Params) => entryOf(node, params.hash(0, 'blockhash'));
  return {
    getblockchaininfo: () => ({
      chain: 'regtest',
      blocks: chain.tip.height,
      headers: chain.tip.height,
      bestblockhash: chain.tip.hash,
      bits: nbitsHex(chain.parameters.nbits),
      target: targetHex(chain.parameters.nbits),
      difficulty: difficultyOf(chain.parameters.nbits),
      time: chain.tip.header.ntime,
      mediantime: chain.medianTimePast(chain.tip),
      verificationprogress: 1,
      initialblockdownload: false,
      chainwork: chainworkHex(chain.tip),
      size_on_disk: bytesOnDisk(),
      pruned: false,
      warnings: WARNING,
    }),
    getbestblockhash: () => chain.tip.hash,
    getblockcount: () => chain.tip.height,
    getdifficulty: () => difficultyOf(chain.parameters.nbits),
    getblockhash: (params) => {
      const entry = chain.at(params.integer(0, 'height', -0x8000_0000, 0x7fff_ffff));
      if (entry === undefined)
        throw new RpcFailure(RPC.invalidParameter, 'Block height out of range');
      return entry.hash;
    },
    getblockheader: (params) => {
      const entry = known(params);
      const isVerbose = params.verbosity(1, 1) > 0;
      return isVerbose ? describeHeader(chain, entry) : hexFromBytes(encodeHeader(entry.header));
    },
    getblock: (params) => {
      const entry = known(params);
      const block = bytesOf(node, entry);
      const verbosity = params.verbosity(1, 1);
      if (verbosity === 0) return hexFromBytes(block.raw);
      return describeBlock(chain, entry, block, verbosity);
    },
    getrawtransaction: (params) => getRawTransaction(node, params),
    getrawmempool: () => mempool.entries.map(({ txid }) => txid),
    getmempoolinfo: () => ({
      loaded: true,
      size: mempool.size,
      bytes: mempool.entries.reduce((sum, { weight }) => sum + Math.ceil(weight / 4), 0),
    }),
    sendrawtransaction: (params) => sendRawTransaction(node, params),
    invalidateblock: (params) => {
      if (!node.invalidate(params.hash(0, 'blockhash'))) throw blockNotFound();
    },
    reconsiderblock: (params) => {
      if (!node.reconsider(params.hash(0, 'blockhash'))) throw blockNotFound();
    },
  };
}

function miningMethods(options: MethodsOptions): Record<string, Method> {
  const { node } = options;
  const { chain, mempool } = node;
  const waiting = { count: 0 };
  return {
    getblocktemplate: async (params, signal) => {
      const request = params.object(0);
      const mode = request['mode'] ?? 'template';
      if (mode === 'proposal') return propose(node, request['data']);
      if (mode !== 'template') throw new RpcFailure(RPC.invalidParameter, 'Invalid mode');
      if (typeof request['longpollid'] === 'string') {
        await waitForNews(options, request['longpollid'], signal, waiting);
      }
      checkRules(chain.parameters.chain, request['rules']);
      return node.template();
    },
    submitblock: (params) => {
      const block = readBlock(params.text(0, 'hexdata'));
      const [first] = block.transactions;
      if (first === undefined || !isCoinbase(first)) {
        throw new RpcFailure(RPC.deserialization, 'Block does not start with a coinbase');
      }
      return node.submit(block.raw);
    },
    getmininginfo: () => ({
      blocks: chain.tip.height,
      bits: nbitsHex(chain.parameters.nbits),
      difficulty: difficultyOf(chain.parameters.nbits),
      target: targetHex(chain.parameters.nbits),
      networkhashps: networkHashrate(node),
      pooledtx: mempool.size,
      chain: 'regtest',
      warnings: WARNING,
    }),
    generatetoaddress: (params, signal) => {
      const count = params.integer(0, 'nblocks', 0, MINE_MAX);
      return node.mine(count, signal, scriptOf(paramsOf(node), params.text(1, 'address')));
    },
  };
}

function ownMethods(options: MethodsOptions): Record<string, Method> {
  const { node, nowMs, startedMs, zmqEndpoint, onStop } = options;
  return {
    getnetworkinfo: () => ({
      version: 0,
      subversion: '/Seam devchain/',
      protocolversion: 70_016,
      connections: 0,
      networkactive: false,
      warnings: WARNING,
    }),
    getconnectioncount: () => 0,
    getzmqnotifications: () => [{ type: 'pubhashblock', address: zmqEndpoint, hwm: 1_000 }],
    validateaddress: (params) => {
      const address = params.text(0, 'address');
      const parsed = scriptFromAddress(address, paramsOf(node));
      if (parsed.kind === 'refused') return { isvalid: false, error: parsed.reason };
      const { script, addressKind } = parsed;
      const iswitness = ['wpkh', 'wsh', 'tr'].includes(addressKind);
      return {
        isvalid: true,
        address,
        scriptPubKey: hexFromBytes(script),
        isscript: addressKind === 'sh',
        iswitness,
      };
    },
    ping: () => null,
    uptime: () => Math.floor((nowMs() - startedMs) / 1_000),
    stop: () => {
      onStop();
      return 'devchain stopping';
    },
    devmempool: (params) => node.synthesize(params.integer(0, 'count', 0, MEMPOOL_ADD_MAX)),
    devmine: (params, signal) => {
      const count = params.integer(0, 'count', 0, MINE_MAX);
      const script = params.has(1)
        ? scriptOf(paramsOf(node), params.text(1, 'address'))
        : undefined;
      return node.mine(count, signal, script);
    },
  };
}

/** BIP 22: until the tip is another one, or the mempool changed and some time has passed. */
async function waitForNews(
  { node, longPollMempoolMs }: MethodsOptions,
  longPollId: string,
  signal: AbortSignal,
  waiting: { count: number },
): Promise<void> {
  const tip = longPollId.slice(0, 64);
  if (waiting.count >= LONG_POLLS_MAX) throw new RpcFailure(RPC.misc, 'Too many long polls');
  const news = new AbortController();
  using _ = node.onTip(() => news.abort());
  const either = AbortSignal.any([signal, news.signal]);
  waiting.count += 1;
  try {
    while (node.chain.tip.hash === tip && !either.aborted) {
      await sleep(longPollMempoolMs, undefined, { signal: either, ref: false }).catch(
        () => undefined,
      );
      if (node.longPollId !== longPollId) return;
    }
  } finally {
    waiting.count -= 1;
  }
}

function checkRules(chain: string, rules: unknown): void {
  const given = Array.isArray(rules) ? rules : [];
  const needed = chain === 'litecoin' ? ['mweb', 'segwit'] : ['segwit'];
  if (needed.every((rule) => given.includes(rule))) return;
  const [what, list] = [needed.toReversed().join(' & '), JSON.stringify(needed)];
  const message = `getblocktemplate must be called with the ${what} rule set (call with {"rules": ${list}})`;
  throw new RpcFailure(RPC.invalidParameter, message);
}

function propose(node: DevchainNode, hex: unknown): string | null {
  if (typeof hex !== 'string')
    throw new RpcFailure(RPC.misc, 'Missing data String key for proposal');
  return node.propose(readBlock(hex));
}

function readBlock(hex: string): Block {
  try {
    return parseBlock(bytesFromHex(hex));
  } catch (error) {
    if (!isWireError(error)) throw error;
    throw new RpcFailure(RPC.deserialization, 'Block decode failed');
  }
}

function sendRawTransaction(node: DevchainNode, params: Params): string {
  try {
    const transaction = parseTransaction(bytesFromHex(params.text(0, 'hexstring')));
    const admission = node.addTransaction(transaction);
    if (!admission.isTaken) throw new RpcFailure(RPC.verifyRejected, admission.reason);
    return describeTransaction(transaction).txid;
  } catch (error) {
    if (!isWireError(error)) throw error;
    throw new RpcFailure(RPC.deserialization, 'TX decode failed');
  }
}

/** As Core without a transaction index: from the mempool, or from a block that is named. */
function getRawTransaction(node: DevchainNode, params: Params): unknown {
  const txid = params.hash(0, 'txid');
  const isVerbose = params.verbosity(1, 0) > 0;
  const entry = params.has(2) ? entryOf(node, params.hash(2, 'blockhash')) : undefined;
  const transaction =
    entry === undefined
      ? node.mempool.entry(txid)?.transaction
      : bytesOf(node, entry).transactions.find((each) => describeTransaction(each).txid === txid);
  if (transaction === undefined) {
    throw new RpcFailure(
      RPC.invalidAddressOrKey,
      'No such transaction in the mempool or the named block',
    );
  }
  if (!isVerbose) return hexFromBytes(transaction.raw);
  const where =
    entry === undefined
      ? {}
      : { blockhash: entry.hash, confirmations: confirmationsOf(node.chain, entry) };
  return { ...describeTransaction(transaction), ...where };
}

function entryOf(node: DevchainNode, hash: string): BlockEntry {
  const entry = node.chain.entry(hash);
  if (entry === undefined) throw blockNotFound();
  return entry;
}

function bytesOf(node: DevchainNode, entry: BlockEntry): Block {
  const block = node.chain.block(entry);
  if (block === undefined) throw new RpcFailure(RPC.misc, 'Block not available');
  return block;
}

function blockNotFound(): RpcFailure {
  return new RpcFailure(RPC.invalidAddressOrKey, 'Block not found');
}

function paramsOf(node: DevchainNode): ChainParams {
  return chainParams(node.chain.parameters.chain, 'regtest');
}

function scriptOf(params: ChainParams, address: string): Uint8Array {
  const parsed = scriptFromAddress(address, params);
  if (parsed.kind === 'script') return parsed.script;
  throw new RpcFailure(RPC.invalidAddressOrKey, `Invalid address: ${parsed.reason}`);
}

/** [hash/s] over the last blocks, as Core estimates it */
function networkHashrate({ chain }: DevchainNode): number {
  const { tip } = chain;
  const first = chain.at(Math.max(1, tip.height - 120));
  const seconds = first === undefined ? 0 : tip.header.ntime - first.header.ntime;
  return first === undefined || seconds <= 0
    ? 0
    : Number(tip.chainwork - first.chainwork) / seconds;
}
