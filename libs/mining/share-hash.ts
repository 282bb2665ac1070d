/**
 * From a submit to hashes: the hot path. What depends on the job alone is prepared once; a share then costs its double
 * hashes and little more. See Note [Why WebAssembly] in sha256-module.ts.
 */
import { Buffer } from 'node:buffer';
import { bytesFromHex } from '#libs/bitcoin/hex.ts';
import { type PowAlgorithm, powHash } from '#libs/bitcoin/hash.ts';
import { HEADER_BYTES } from '#libs/bitcoin/header.ts';
import { internalFromDisplay } from '#libs/bitcoin/prevhash.ts';
import { integerFromHash, targetFromNbits } from '#libs/bitcoin/target.ts';
import { coinb1Of, coinb2Of } from './coinbase-layout.ts';
import type { MinableJob } from './job.ts';
import { FREE_OFFSET, instantiateSha256, paddedBlocks, writePadding } from './sha256-module.ts';

const HASH_BYTES = 32;
/** [bytes] far above any coinbase: five outputs with scripts of standard size are a few hundred */
const COINBASE_BYTES_MAX = 32_768;

/** Where what is hashed lies in the module's memory: header and pair with their padding, then the coinbase. */
const HEADER_OFFSET = FREE_OFFSET;
const PAIR_OFFSET = HEADER_OFFSET + 128;
const IDENTITY_OFFSET = PAIR_OFFSET + 128;
const COINBASE_OFFSET = IDENTITY_OFFSET + 64;
const ROOT_OFFSET = HEADER_OFFSET + 36;

const { memory, exports: sha256 } = instantiateSha256(COINBASE_OFFSET + COINBASE_BYTES_MAX + 128);
const view = new DataView(memory.buffer);
writePadding(memory, HEADER_OFFSET, HEADER_BYTES);
writePadding(memory, PAIR_OFFSET, 2 * HASH_BYTES);

/** The job whose bytes lie in memory: between two shares of one job only the extranonces differ. */
let loaded: PreparedJob | undefined;

/** A job made ready to hash shares for, for one payee. Costs a few KB: share it between sessions. */
export interface PreparedJob<J extends MinableJob = MinableJob> {
  readonly job: J;
  readonly algorithm: PowAlgorithm;
  /** From the job's nbits. */
  readonly networkTarget: bigint;
  /** coinb1 | zeros for the extranonces | coinb2 */
  readonly coinbase: Buffer;
  readonly extranonceOffset: number;
  /** [bytes] of both extranonces together */
  readonly extranonceBytes: number;
  readonly merkleBranch: readonly Uint8Array[];
  /** With prevhash and nbits filled in; the rest is the share's. */
  readonly headerTemplate: Buffer;
}

/** What a miner found, as numbers and bytes. */
export interface Solution {
  readonly extranonce1: Uint8Array;
  readonly extranonce2: Uint8Array;
  readonly ntime: number;
  readonly nonce: number;
  /** As it stands in the header: see rolledVersion(). */
  readonly version: number;
}

/** The hashes of a solution. All its arrays are its own. */
export interface ShareHash {
  /** 80 bytes. */
  readonly header: Uint8Array;
  /** Double SHA-256 of the header, internal order: the share's identity, and the block's hash. */
  readonly identity: Uint8Array;
  /** The proof of work as a number, to compare with targets. */
  readonly powNumber: bigint;
}

/**
 * @param ownerScript in `solo` the script of whoever owns the connection
 * @throws {WireError} if a hex field of the job is none, {RangeError} if nbits, the scriptSig or the size are impossible
 */
export function prepareJob<J extends MinableJob>(
  job: J,
  algorithm: PowAlgorithm,
  ownerScript?: Uint8Array,
): PreparedJob<J> {
  const coinb1 = coinb1Of(job.coinbase);
  const coinb2 = coinb2Of(job.coinbase, ownerScript);
  const extranonceBytes = job.coinbase.extranonce1Size + job.coinbase.extranonce2Size;
  const coinbase = Buffer.concat([coinb1, new Uint8Array(extranonceBytes), coinb2]);
  if (coinbase.length > COINBASE_BYTES_MAX) {
    throw new RangeError(
      `Cannot prepare job ${job.jobId}: its coinbase has ${coinbase.length} bytes`,
    );
  }
  return {
    job,
    algorithm,
    networkTarget: targetFromNbits(job.nbits),
    coinbase,
    extranonceOffset: coinb1.length,
    extranonceBytes,
    merkleBranch: job.merkleBranch.map(bytesFromHex),
    headerTemplate: headerTemplateOf(job),
  };
}

/** @throws {RangeError} if the extranonces do not fill the job's place: whoever parsed the submit checked them */
export function hashShare(prepared: PreparedJob, solution: Solution): ShareHash {
  checkExtranonces(prepared, solution);
  load(prepared);
  writeSolution(prepared, solution);
  hashMerkleRoot(prepared);
  sha256.sha256d(HEADER_OFFSET, paddedBlocks(HEADER_BYTES), IDENTITY_OFFSET);
  const header = memory.slice(HEADER_OFFSET, HEADER_OFFSET + HEADER_BYTES);
  const identity = memory.slice(IDENTITY_OFFSET, IDENTITY_OFFSET + HASH_BYTES);
  const pow = prepared.algorithm === 'sha256d' ? identity : powHash(prepared.algorithm, header);
  return { header, identity, powNumber: integerFromHash(pow) };
}

/** The whole coinbase of a solution, without witness, as a copy: for the block path. @throws {RangeError} as hashShare() */
export function solvedCoinbase(prepared: PreparedJob, solution: Solution): Uint8Array {
  checkExtranonces(prepared, solution);
  const coinbase = Uint8Array.from(prepared.coinbase);
  coinbase.set(solution.extranonce1, prepared.extranonceOffset);
  coinbase.set(solution.extranonce2, prepared.extranonceOffset + solution.extranonce1.length);
  return coinbase;
}

function load(prepared: PreparedJob): void {
  if (loaded === prepared) return;
  memory.set(prepared.headerTemplate, HEADER_OFFSET);
  memory.set(prepared.coinbase, COINBASE_OFFSET);
  writePadding(memory, COINBASE_OFFSET, prepared.coinbase.length);
  loaded = prepared;
}

function writeSolution(prepared: PreparedJob, solution: Solution): void {
  const { extranonce1, extranonce2 } = solution;
  const extranonces = COINBASE_OFFSET + prepared.extranonceOffset;
  memory.set(extranonce1, extranonces);
  memory.set(extranonce2, extranonces + extranonce1.length);
  view.setUint32(HEADER_OFFSET, solution.version, true);
  view.setUint32(HEADER_OFFSET + 68, solution.ntime, true);
  view.setUint32(HEADER_OFFSET + 76, solution.nonce, true);
}

/** Hashes the coinbase, then pair by pair up the branch, into the header. */
function hashMerkleRoot({ coinbase, merkleBranch }: PreparedJob): void {
  sha256.sha256d(COINBASE_OFFSET, paddedBlocks(coinbase.length), PAIR_OFFSET);
  for (const sibling of merkleBranch) {
    memory.set(sibling, PAIR_OFFSET + HASH_BYTES);
    sha256.sha256d(PAIR_OFFSET, paddedBlocks(2 * HASH_BYTES), PAIR_OFFSET);
  }
  memory.copyWithin(ROOT_OFFSET, PAIR_OFFSET, PAIR_OFFSET + HASH_BYTES);
}

/** Only the sum counts: a miner that can do 4 bytes only has its extranonce1 padded. */
function checkExtranonces(prepared: PreparedJob, { extranonce1, extranonce2 }: Solution): void {
  if (extranonce1.length + extranonce2.length === prepared.extranonceBytes) return;
  throw new RangeError(
    `Cannot hash share: extranonces have ${extranonce1.length} and ${extranonce2.length} bytes`,
  );
}

function headerTemplateOf(job: MinableJob): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  header.set(internalFromDisplay(job.parent), 4);
  header.writeUInt32LE(job.nbits, 72);
  return header;
}
