/** The rules of one devchain. Everything that makes two devchains different chains is in here. */
import type { ChainName } from '#libs/bitcoin/chains.ts';
import type { PowAlgorithm } from '#libs/bitcoin/hash.ts';

export interface DevchainParameters {
  readonly chain: ChainName;
  readonly algorithm: PowAlgorithm;
  /** Compact target of every block: there is no retargeting. */
  readonly nbits: number;
  /** [blocks] */
  readonly halvingInterval: number;
}

/** [sat] */
export const COIN = 100_000_000n;
export const MONEY_MAX = 84_000_000n * COIN;
const FIRST_SUBSIDY = 50n * COIN;
/** [blocks] until a coinbase may be spent; the premine may be spent at once. */
export const COINBASE_MATURITY = 100;
/** [s] how far a block may be ahead of our clock */
export const FUTURE_SEC_MAX = 7_200;
export const BLOCK_WEIGHT_MAX = 4_000_000;
export const SIGOPS_COST_MAX = 80_000;

/** Regtest of Bitcoin Core: every second hash is a block. */
export const REGTEST_NBITS = 0x207f_ffff;

/**
 * For `./seam up`: a block about every 14 s. 2^21 hashes at the 150 kH/s of three demo miners (sha256d); 2^16 at some
 * 5 kH/s (scrypt).
 */
export const DEMO_NBITS: Readonly<Record<PowAlgorithm, number>> = {
  sha256d: 0x1e07_ffff,
  scrypt: 0x1f00_ffff,
};

export function parametersOf(
  chain: ChainName,
  nbits: number,
  algorithm: PowAlgorithm = chain === 'litecoin' ? 'scrypt' : 'sha256d',
): DevchainParameters {
  return { chain, algorithm, nbits, halvingInterval: chain === 'litecoin' ? 840_000 : 210_000 };
}

/** [sat] what a block creates */
export function subsidyAt(height: number, parameters: DevchainParameters): bigint {
  const halvings = Math.floor(height / parameters.halvingInterval);
  return halvings >= 64 ? 0n : FIRST_SUBSIDY >> BigInt(halvings);
}
