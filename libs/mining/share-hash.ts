/**
 * From a submit to hashes: the hot path. What depends on the job alone is prepared once; a share then costs its
 * double hashes and no more. The dedicated writing into one reused buffer is why this does not use encodeHeader().
 */
import { Buffer } from 'node:buffer';
import { hash } from 'node:crypto';
import { bytesFromHex } from '#libs/bitcoin/hex.ts';
import { type PowAlgorithm, powHash } from '#libs/bitcoin/hash.ts';
import { HEADER_BYTES } from '#libs/bitcoin/header.ts';
import { internalFromDisplay } from '#libs/bitcoin/prevhash.ts';
import { integerFromHash, targetFromNbits } from '#libs/bitcoin/target.ts';
import { coinb1Of, coinb2Of } from './coinbase-layout.ts';
import type { MinableJob } from './job.ts';

const ROOT_OFFSET = 36;
const HASH_BYTES = 32;

/** A job made ready to hash shares for, for one payee. Costs some 10 KB: share it between sessions. */
export interface PreparedJob<J extends MinableJob = MinableJob> {
  readonly job: J;
  readonly algorithm: PowAlgorithm;
  /** From the job's nbits. */
  readonly networkTarget: bigint;
  /** coinb1 | extranonce1 | extranonce2 | coinb2; the extranonces are overwritten by every share. */
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
 * @throws {WireError} if a hex field of the job is none, {RangeError} if nbits or the scriptSig are impossible
 */
export function prepareJob<J extends MinableJob>(
  job: J,
  algorithm: PowAlgorithm,
  ownerScript?: Uint8Array,
): PreparedJob<J> {
  const coinb1 = coinb1Of(job.coinbase);
  const extranonceBytes = job.coinbase.extranonce1Size + job.coinbase.extranonce2Size;
  return {
    job,
    algorithm,
    networkTarget: targetFromNbits(job.nbits),
    coinbase: Buffer.concat([
      coinb1,
      new Uint8Array(extranonceBytes),
      coinb2Of(job.coinbase, ownerScript),
    ]),
    extranonceOffset: coinb1.length,
    extranonceBytes,
    merkleBranch: job.merkleBranch.map(bytesFromHex),
    headerTemplate: headerTemplateOf(job),
  };
}

/** @throws {RangeError} if the extranonces do not fill the job's place: whoever parsed the submit checked them */
export function hashShare(prepared: PreparedJob, solution: Solution): ShareHash {
  const header = headerOf(prepared, solution);
  const identity = sha256dOf(header);
  const pow = prepared.algorithm === 'sha256d' ? identity : powHash(prepared.algorithm, header);
  return { header, identity, powNumber: integerFromHash(pow) };
}

/** The whole coinbase of a solution, without witness, as a copy: for the block path. */
export function solvedCoinbase(prepared: PreparedJob, solution: Solution): Uint8Array {
  return Uint8Array.from(fillCoinbase(prepared, solution));
}

function headerOf(prepared: PreparedJob, solution: Solution): Buffer {
  // allocUnsafeSlow: not a view of the shared pool, which a kept header would keep alive.
  const header = Buffer.allocUnsafeSlow(HEADER_BYTES);
  prepared.headerTemplate.copy(header);
  header.writeUInt32LE(solution.version >>> 0, 0);
  merkleRootOf(prepared, solution).copy(header, ROOT_OFFSET);
  header.writeUInt32LE(solution.ntime, 68);
  header.writeUInt32LE(solution.nonce, 76);
  return header;
}

const pair = Buffer.alloc(2 * HASH_BYTES);

function merkleRootOf(prepared: PreparedJob, solution: Solution): Buffer {
  let root = sha256dOf(fillCoinbase(prepared, solution));
  for (const sibling of prepared.merkleBranch) {
    root.copy(pair, 0);
    pair.set(sibling, HASH_BYTES);
    root = sha256dOf(pair);
  }
  return root;
}

function fillCoinbase(prepared: PreparedJob, solution: Solution): Buffer {
  const { coinbase, extranonceOffset, extranonceBytes } = prepared;
  const { extranonce1, extranonce2 } = solution;
  // Only the sum counts: a miner that can do 4 bytes only has its extranonce1 padded.
  if (extranonce1.length + extranonce2.length !== extranonceBytes) {
    throw new RangeError(
      `Cannot hash share: extranonces have ${extranonce1.length} and ${extranonce2.length} bytes`,
    );
  }
  coinbase.set(extranonce1, extranonceOffset);
  coinbase.set(extranonce2, extranonceOffset + extranonce1.length);
  return coinbase;
}

function headerTemplateOf(job: MinableJob): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  header.set(internalFromDisplay(job.parent), 4);
  header.writeUInt32LE(job.nbits, 72);
  return header;
}

function sha256dOf(bytes: Buffer): Buffer {
  return hash('sha256', hash('sha256', bytes, 'buffer'), 'buffer');
}
