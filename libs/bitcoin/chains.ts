/** Chains are data: everything that differs between them stands in this table. */
import type { PowAlgorithm } from './hash.ts';

export type ChainName = 'bitcoin' | 'litecoin';
export type NetworkName = 'main' | 'test' | 'signet' | 'regtest';

export interface ChainParams {
  readonly chain: ChainName;
  readonly network: NetworkName;
  /** Short name of the coin for people. */
  readonly coin: 'BTC' | 'LTC';
  readonly algorithm: PowAlgorithm;
  /** Target of share difficulty 1, by the convention of the algorithm's miners. */
  readonly diff1Target: bigint;
  /** Expected hashes per difficulty 1: 2^32 (sha256d) or 2^16 (scrypt). */
  readonly hashesPerDifficulty: number;
  /** Easiest target the chain allows. */
  readonly powLimit: bigint;
  /** `rules` of getblocktemplate. */
  readonly rules: readonly string[];
  /** What getblockchaininfo may give as `chain`. */
  readonly nodeChains: readonly string[];
  /** Header version bits miners may roll (BIP 320). */
  readonly versionMask: number;
  readonly bech32Hrp: string;
  /** Version byte of P2PKH addresses. */
  readonly pubKeyHash: number;
  /** Version bytes of P2SH addresses, the usual one first. */
  readonly scriptHash: readonly number[];
  /** Human-readable part of MWEB addresses; undefined: the chain has none. */
  readonly mwebHrp: string | undefined;
  readonly hasMweb: boolean;
  /** [blocks] between halvings of the subsidy */
  readonly subsidyHalvingInterval: number;
  /** [blocks] until a coinbase may be spent */
  readonly coinbaseMaturity: number;
  /** [s] wanted mean time between blocks */
  readonly blockIntervalSec: number;
  /** Whether the coins are worth something. */
  readonly isReal: boolean;
}

/** BIP 320: bits 13 to 28. */
const BIP320_MASK = 0x1fff_e000;
const REGTEST_POW_LIMIT = (1n << 255n) - 1n;
const SIGNET_POW_LIMIT = 0x377ae0n << 200n;

type Shared = Omit<ChainParams, NetworkSpecific>;
type NetworkSpecific =
  | 'network'
  | 'powLimit'
  | 'nodeChains'
  | 'bech32Hrp'
  | 'pubKeyHash'
  | 'scriptHash'
  | 'mwebHrp'
  | 'isReal';

const BITCOIN: Shared = {
  chain: 'bitcoin',
  coin: 'BTC',
  algorithm: 'sha256d',
  diff1Target: 0xffffn << 208n,
  hashesPerDifficulty: 2 ** 32,
  rules: ['segwit'],
  versionMask: BIP320_MASK,
  hasMweb: false,
  subsidyHalvingInterval: 210_000,
  coinbaseMaturity: 100,
  blockIntervalSec: 600,
};

const BITCOIN_TEST = {
  pubKeyHash: 0x6f,
  scriptHash: [0xc4],
  bech32Hrp: 'tb',
  mwebHrp: undefined,
  isReal: false,
};

const LITECOIN: Shared = {
  chain: 'litecoin',
  coin: 'LTC',
  algorithm: 'scrypt',
  diff1Target: 0xffffn << 224n, // The convention of miners; the node's `difficulty` uses Bitcoin's.
  hashesPerDifficulty: 2 ** 16,
  rules: ['mweb', 'segwit'], // Without `mweb` litecoind answers -8.
  versionMask: BIP320_MASK,
  hasMweb: true,
  subsidyHalvingInterval: 840_000,
  coinbaseMaturity: 100,
  blockIntervalSec: 150,
};

const LITECOIN_TEST = {
  pubKeyHash: 0x6f,
  scriptHash: [0x3a, 0xc4],
  bech32Hrp: 'tltc',
  mwebHrp: 'tmweb',
  isReal: false,
};

const LITECOIN_POW_LIMIT = (1n << 236n) - 1n;

export const CHAINS: readonly ChainParams[] = [
  {
    ...BITCOIN,
    network: 'main',
    nodeChains: ['main'],
    powLimit: (1n << 224n) - 1n,
    pubKeyHash: 0x00,
    scriptHash: [0x05],
    bech32Hrp: 'bc',
    mwebHrp: undefined,
    isReal: true,
  },
  {
    ...BITCOIN,
    ...BITCOIN_TEST,
    network: 'test',
    nodeChains: ['test', 'testnet4'],
    powLimit: (1n << 224n) - 1n,
  },
  {
    ...BITCOIN,
    ...BITCOIN_TEST,
    network: 'signet',
    nodeChains: ['signet'],
    rules: ['segwit', 'signet'],
    powLimit: SIGNET_POW_LIMIT,
  },
  {
    ...BITCOIN,
    ...BITCOIN_TEST,
    network: 'regtest',
    nodeChains: ['regtest'],
    bech32Hrp: 'bcrt',
    powLimit: REGTEST_POW_LIMIT,
    subsidyHalvingInterval: 150,
  },
  {
    ...LITECOIN,
    network: 'main',
    nodeChains: ['main'],
    powLimit: LITECOIN_POW_LIMIT,
    pubKeyHash: 0x30,
    scriptHash: [0x32, 0x05],
    bech32Hrp: 'ltc',
    mwebHrp: 'ltcmweb',
    isReal: true,
  },
  {
    ...LITECOIN,
    ...LITECOIN_TEST,
    network: 'test',
    nodeChains: ['test'],
    powLimit: LITECOIN_POW_LIMIT,
  },
  {
    ...LITECOIN,
    ...LITECOIN_TEST,
    network: 'signet',
    nodeChains: ['signet'],
    rules: ['mweb', 'segwit', 'signet'],
    powLimit: SIGNET_POW_LIMIT,
  },
  {
    ...LITECOIN,
    ...LITECOIN_TEST,
    network: 'regtest',
    nodeChains: ['regtest'],
    bech32Hrp: 'rltc',
    powLimit: REGTEST_POW_LIMIT,
    subsidyHalvingInterval: 150,
  },
];

/** The parameters of a chain on a network. @throws {RangeError} if there is no such chain */
export function chainParams(chain: ChainName, network: NetworkName): ChainParams {
  const params = CHAINS.find((row) => row.chain === chain && row.network === network);
  if (params === undefined)
    throw new RangeError(
      `Cannot find chain ${chain} on network ${network}: it is not in the table`,
    );
  return params;
}
