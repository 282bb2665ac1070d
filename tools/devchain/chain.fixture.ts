/** A devchain in memory with a clock that stands still, and blocks with one thing wrong. */
import { concatBytes, uint32Le } from '#libs/bitcoin/bytes.ts';
import { encodeCompactSize } from '#libs/bitcoin/compact-size.ts';
import { powHash } from '#libs/bitcoin/hash.ts';
import { type BlockHeader, encodeHeader } from '#libs/bitcoin/header.ts';
import { encodeHeight } from '#libs/bitcoin/height.ts';
import { bytesFromHex } from '#libs/bitcoin/hex.ts';
import { internalFromDisplay } from '#libs/bitcoin/prevhash.ts';
import {
  encodeTransaction,
  parseTransaction,
  type Transaction,
} from '#libs/bitcoin/transaction.ts';
import type { ChainLog, LogRecord } from './core/chain-state.ts';
import { expandTarget, merkleRootOf } from './core/check-block.ts';
import { type DevchainParameters, parametersOf, REGTEST_NBITS } from './core/parameters.ts';
import { parseBlock } from './core/parse-block.ts';
import type { Template } from './core/template.ts';
import { WALLET_SCRIPT } from './core/wallet.ts';
import { DevchainNode } from './node.ts';

/** [ms] */
export const NOW_MS = 1_800_000_000_000;

/** Makes every block another one. */
let built = 0;

export class MemoryLog implements ChainLog {
  readonly #records: LogRecord[] = [];

  appendBlock(raw: Uint8Array): number {
    const location = this.#records.length;
    this.#records.push({ kind: 'block', raw, location });
    return location;
  }
  appendMark(kind: 'invalid' | 'reconsidered', hash: string): void {
    this.#records.push({ kind, hash });
  }
  read(location: number): Uint8Array {
    const record = this.#records[location];
    if (record?.kind !== 'block') throw new Error(`no block at ${location}`);
    return record.raw;
  }
  records(): readonly LogRecord[] {
    return [...this.#records];
  }
}

export function createNode(
  parameters: DevchainParameters = parametersOf('bitcoin', REGTEST_NBITS),
  log: ChainLog & { records(): Iterable<LogRecord> } = new MemoryLog(),
): DevchainNode {
  let seed = 1;
  const random = () => {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31; // The same on every run.
    return seed / 2 ** 31;
  };
  return new DevchainNode({ parameters, log, nowMs: () => NOW_MS, random });
}

/** What is to be different from a good block. */
export interface Twist {
  readonly coinbase?: ((coinbase: Transaction) => Transaction) | undefined;
  /** Hex of all transactions but the coinbase. */
  readonly transactions?: ((hex: readonly string[]) => readonly string[]) | undefined;
  /** Commits to the transactions as they are after `transactions`; default: as the template says. */
  readonly recommits?: boolean;
  readonly header?: (header: BlockHeader) => Partial<BlockHeader>;
  /** False: looks for a nonce that is not good enough. */
  readonly isSolved?: boolean;
}

/** A solved block that is good but for the twist. */
export function buildBlock(
  { chain: { parameters } }: DevchainNode,
  template: Template,
  twist: Twist = {},
): Uint8Array {
  const { coinbase = (good) => good, transactions = (good) => good, header = () => ({}) } = twist;
  const hex = transactions(template.transactions.map(({ data }) => data));
  const others = hex.map((data) => parseTransaction(bytesFromHex(data)));
  const committed = twist.recommits === true ? others.map(({ wtxid }) => wtxid) : undefined;
  const first = encodeTransaction(coinbase(goodCoinbase(template, committed)));
  const txids = others.map(({ txid }) => txid);
  const good: BlockHeader = {
    version: template.version,
    prevhash: internalFromDisplay(template.previousblockhash),
    merkleRoot: merkleRootOf([parseTransaction(first).txid, ...txids]).root,
    ntime: template.curtime,
    nbits: Number.parseInt(template.bits, 16),
    nonce: 0,
  };
  const bytes = encodeHeader({ ...good, ...header(good) });
  const target = expandTarget(Number.parseInt(template.bits, 16)) ?? 0n;
  for (let nonce = 0; ; nonce += 1) {
    bytes.set(uint32Le(nonce), 76);
    const hash = Buffer.from(powHash(parameters.algorithm, bytes)).reverse().toString('hex');
    if (BigInt(`0x${hash}`) <= target === (twist.isSolved ?? true)) break;
  }
  const count = encodeCompactSize(others.length + 1);
  return concatBytes(bytes, count, first, ...others.map(({ raw }) => raw));
}

function goodCoinbase(template: Template, wtxids: readonly Uint8Array[] | undefined): Transaction {
  const commitment =
    wtxids === undefined ? template.default_witness_commitment : commitmentTo(wtxids);
  return {
    version: 2,
    inputs: [
      {
        prevTxid: new Uint8Array(32),
        prevIndex: 0xffff_ffff,
        scriptSig: concatBytes(
          encodeHeight(template.height),
          Uint8Array.of(4),
          uint32Le((built += 1)),
        ),
        sequence: 0xffff_fffe,
        witness: [new Uint8Array(32)],
      },
    ],
    outputs: [
      { valueSat: BigInt(template.coinbasevalue), script: WALLET_SCRIPT },
      { valueSat: 0n, script: bytesFromHex(commitment) },
    ],
    lockTime: template.height - 1,
    hasWitness: true,
  };
}

function commitmentTo(wtxids: readonly Uint8Array[]): string {
  const { root } = merkleRootOf([new Uint8Array(32), ...wtxids]);
  const digest = merkleRootOf([root, new Uint8Array(32)]).root; // A pair's parent: sha256d of both.
  return `6a24aa21a9ed${Buffer.from(digest).toString('hex')}`;
}

/** Mines `count` good blocks on the tip. @returns their hashes */
export function mineBlocks(node: DevchainNode, count: number): readonly string[] {
  return Array.from({ length: count }, () => {
    const raw = buildBlock(node, node.template());
    const refusal = node.submit(raw);
    if (refusal !== null) throw new Error(`a good block was refused: ${refusal}`);
    return parseBlock(raw).hash;
  });
}
