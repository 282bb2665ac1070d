/** What is known of miners by the name they give in mining.subscribe. A row per quirk, with its source. */

export interface UserAgentProfile {
  /** For logs and metrics: a short, closed set. */
  readonly name: string;
  /** Difficulty below which the client refuses to work; undefined: none known */
  readonly minDifficulty: number | undefined;
  /** [bytes] the only extranonce2 size it can do; undefined: the listener's */
  readonly extranonce2Size: number | undefined;
  /** How it can be asked to come again; `none`: by closing the socket. */
  readonly reconnect: 'same_host' | 'with_wait' | 'none';
  /** A line it takes as a sign of life; `none`: only notifies. */
  readonly keepAlive: 'ping' | 'none';
}

interface Row extends UserAgentProfile {
  readonly pattern: RegExp;
}

const UNKNOWN: UserAgentProfile = {
  name: 'other',
  minDifficulty: undefined,
  extranonce2Size: undefined,
  reconnect: 'none',
  keepAlive: 'none',
};

/** The first row that matches holds. */
const ROWS: readonly Row[] = [
  // NiceHash refuses pools below 524288 for sha256d and takes bytes of the extranonce (DATUM gateway, NiceHashMiner#1325).
  { ...UNKNOWN, name: 'nicehash', pattern: /nicehash/i, minDifficulty: 524_288 },
  // MiningRigRentals' proxy closes the order when it is reconnected.
  { ...UNKNOWN, name: 'miningrigrentals', pattern: /miningrigrentals|mrr/i },
  // cgminer 3.7.2, the last with scrypt on GPUs, computes with 4 bytes whatever it is told (proxypool README).
  {
    ...UNKNOWN,
    name: 'cgminer_3_7_2',
    pattern: /^cgminer\/3\.7\.2/i,
    extranonce2Size: 4,
    reconnect: 'with_wait',
  },
  // cgminer and its forks (Antminer, Avalon) answer mining.ping and read [host, port, wait] (util.c).
  {
    ...UNKNOWN,
    name: 'cgminer',
    pattern: /^(?:cgminer|sgminer|bfgminer)\b/i,
    reconnect: 'with_wait',
    keepAlive: 'ping',
  },
  // ESP-Miner sends `pong` as a method and moves to its fallback pool after three failed connects.
  {
    ...UNKNOWN,
    name: 'esp_miner',
    pattern: /^(?:bitaxe|esp-miner|nerdqaxe|nerdaxe|nerdminer)/i,
    keepAlive: 'ping',
  },
  // Braiins OS sends a malformed min-bit-count (braiins#47).
  { ...UNKNOWN, name: 'braiins', pattern: /^(?:bosminer|bos|braiins)/i, reconnect: 'same_host' },
  { ...UNKNOWN, name: 'cpuminer', pattern: /^(?:cpuminer|minerd)/i, reconnect: 'with_wait' },
  {
    ...UNKNOWN,
    name: 'seam_miner',
    pattern: /^seam-miner/i,
    reconnect: 'same_host',
    keepAlive: 'ping',
  },
];

/** The profile of a user agent; of an unknown one what hurts nobody. */
export function profileOf(userAgent: string): UserAgentProfile {
  return ROWS.find((row) => row.pattern.test(userAgent)) ?? UNKNOWN;
}
