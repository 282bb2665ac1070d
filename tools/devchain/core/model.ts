/** What the chain is made of. */
import type { BlockHeader } from '#libs/bitcoin/header.ts';
import type { ParsedTransaction } from '#libs/bitcoin/transaction.ts';

/** A block that can be read: nothing is said about its being valid. */
export interface Block {
  /** Display byte order. */
  readonly hash: string;
  readonly raw: Uint8Array;
  /** 80 bytes */
  readonly headerBytes: Uint8Array;
  readonly header: BlockHeader;
  readonly transactions: readonly ParsedTransaction[];
}

/** An unspent output. */
export interface Coin {
  readonly valueSat: bigint;
  readonly script: Uint8Array;
  /** [blocks] of the block it was made in; `MEMPOOL_HEIGHT` for one that is in none. */
  readonly height: number;
  readonly isCoinbase: boolean;
}

export const MEMPOOL_HEIGHT = 0x7fff_ffff;

/** Finds unspent outputs by {@link outpointKey}. */
export interface CoinView {
  coin(outpoint: string): Coin | undefined;
}

/** A block in the tree of all blocks. */
export interface BlockEntry {
  readonly hash: string;
  readonly header: BlockHeader;
  readonly height: number;
  /** Sum of expected hashes up to and with this block. */
  readonly chainwork: bigint;
  readonly parent: BlockEntry | undefined;
  readonly transactionCount: number;
  readonly bytes: number;
  /** Name of the block in the log; undefined: not kept (the genesis, invalid ones). */
  readonly location: number | undefined;
  /** Order of arrival: of equal chains the first seen is better. */
  readonly sequence: number;
  /** `unchecked`: never connected, since its chain never was the best. */
  status: 'valid' | 'unchecked' | 'invalid';
  /** Core's word for why it is invalid. */
  reason: string | undefined;
}

/** `txid:index`, txid in display order. */
export function outpointKey(txidDisplay: string, index: number): string {
  return `${txidDisplay}:${index}`;
}
