/** A notify as the miner reads it: strictly, field by field, and the header it leads to. */
import { sha256d } from './hashing.ts';

export interface MinerJob {
  readonly jobId: string;
  /** As sent; which block is being extended. */
  readonly prevhash: string;
  readonly coinb1: string;
  readonly coinb2: string;
  readonly branch: readonly string[];
  readonly version: number;
  readonly nbits: number;
  readonly ntime: number;
  readonly cleanJobs: boolean;
  /** Everything but the flag: a job id must never come with another. */
  readonly content: string;
}

/** What the miner puts into a job. */
export interface Attempt {
  readonly extranonce1: string;
  readonly extranonce2: string;
  readonly ntime: number;
  readonly nonce: number;
  readonly version: number;
}

export interface CoinbaseOutput {
  readonly valueSat: bigint;
  /** Hex. */
  readonly script: string;
}

export interface Coinbase {
  /** [blocks] from the scriptSig (BIP 34) */
  readonly height: number;
  readonly outputs: readonly CoinbaseOutput[];
  readonly lockTime: number;
}

const HEX = /^(?:[0-9a-f]{2})*$/;
const UINT32 = /^[0-9a-f]{8}$/;
const HASH = /^[0-9a-f]{64}$/;

/** The job, or what is wrong with the parameters. */
export function parseNotify(params: unknown): MinerJob | string {
  if (!Array.isArray(params) || params.length !== 9) return 'notify has not nine parameters';
  const list: readonly unknown[] = params;
  const [jobId, prevhash, coinb1, coinb2, branch, version, nbits, ntime, cleanJobs] = list;
  if (typeof jobId !== 'string' || jobId === '') return 'job id is not a string';
  if (!matches(prevhash, HASH)) return 'prevhash is not 32 bytes of hex';
  if (!matches(coinb1, HEX) || !matches(coinb2, HEX)) return 'coinb1 or coinb2 is not hex';
  if (!Array.isArray(branch) || !branch.every((hash) => matches(hash, HASH)))
    return 'merkle branch is not a list of hashes';
  if (!matches(version, UINT32) || !matches(nbits, UINT32) || !matches(ntime, UINT32))
    return 'version, nbits or ntime is not 4 bytes of hex';
  if (typeof cleanJobs !== 'boolean') return 'clean_jobs is not a boolean';
  return {
    jobId,
    prevhash,
    coinb1,
    coinb2,
    branch: branch as string[],
    version: Number.parseInt(version, 16),
    nbits: Number.parseInt(nbits, 16),
    ntime: Number.parseInt(ntime, 16),
    cleanJobs,
    content: JSON.stringify(list.slice(1, 8)),
  };
}

/** The 80 bytes to hash. */
export function headerOf(job: MinerJob, attempt: Attempt): Buffer {
  const header = Buffer.alloc(80);
  header.writeUInt32LE(attempt.version >>> 0, 0);
  swappedWords(job.prevhash).copy(header, 4);
  merkleRootOf(job, attempt).copy(header, 36);
  header.writeUInt32LE(attempt.ntime, 68);
  header.writeUInt32LE(job.nbits, 72);
  header.writeUInt32LE(attempt.nonce, 76);
  return header;
}

/** The coinbase read to its last byte, or what is wrong with it. */
export function parseCoinbase(
  job: MinerJob,
  extranonce1: string,
  extranonce2Size: number,
): Coinbase | string {
  const bytes = Buffer.from(
    job.coinb1 + extranonce1 + '00'.repeat(extranonce2Size) + job.coinb2,
    'hex',
  );
  try {
    return readCoinbase(bytes);
  } catch (error) {
    return `coinbase is cut or malformed: ${error instanceof Error ? error.message : String(error)}`;
  }
}

function merkleRootOf(job: MinerJob, attempt: Attempt): Buffer {
  const coinbase = job.coinb1 + attempt.extranonce1 + attempt.extranonce2 + job.coinb2;
  const txid = sha256d(Buffer.from(coinbase, 'hex'));
  return job.branch.reduce(
    (root, sibling) => sha256d(Buffer.concat([root, Buffer.from(sibling, 'hex')])),
    txid,
  );
}

function swappedWords(prevhash: string): Buffer {
  return Buffer.from(prevhash, 'hex').swap32();
}

function readCoinbase(bytes: Buffer): Coinbase {
  let at = 0;
  const take = (count: number): Buffer => {
    if (count > bytes.length - at) throw new RangeError(`no ${count} bytes at ${at}`);
    return bytes.subarray(at, (at += count));
  };
  const count = (): number => {
    const first = take(1).readUInt8();
    return first < 0xfd ? first : first === 0xfd ? take(2).readUInt16LE() : take(4).readUInt32LE();
  };
  take(4); // Version
  if (count() !== 1) throw new RangeError('not one input');
  if (take(36).toString('hex') !== `${'00'.repeat(32)}ffffffff`)
    throw new RangeError('input spends something');
  const scriptSig = take(count());
  if (scriptSig.length < 2 || scriptSig.length > 100)
    throw new RangeError(`scriptSig of ${scriptSig.length} bytes`);
  take(4); // Sequence
  const outputs = Array.from({ length: count() }, () => ({
    valueSat: take(8).readBigUInt64LE(),
    script: take(count()).toString('hex'),
  }));
  const lockTime = take(4).readUInt32LE();
  if (at !== bytes.length) throw new RangeError(`${bytes.length - at} bytes too many`);
  return { height: heightOf(scriptSig), outputs, lockTime };
}

/** BIP 34: OP_1 to OP_16, or a push of a little-endian number. */
function heightOf(scriptSig: Buffer): number {
  const first = scriptSig[0] ?? 0;
  if (first === 0) return 0;
  if (first > 0x50) return first - 0x50;
  return scriptSig.readUIntLE(1, Math.min(first, 6));
}

function matches(value: unknown, pattern: RegExp): value is string {
  return typeof value === 'string' && pattern.test(value);
}
