/**
 * A job's id: the hash of its content, so that no id is ever reused for other content and any stratum-server
 * understands a share for a job that another one sent.
 */
import { Buffer } from 'node:buffer';
import { sha256 } from '#libs/bitcoin/hash.ts';
import { hexFromBytes } from '#libs/bitcoin/hex.ts';
import type { JobContent, MinableCoinbase } from './job.ts';

const ID_BYTES = 8;

/**
 * First 8 bytes of SHA-256 over the canonical form, as 16 lower-case hex digits. The form is the fields in the order
 * below, each number as 8 bytes little-endian, each string as its length and its UTF-8 bytes: no two contents share one.
 */
export function jobIdOf(content: JobContent): string {
  return hexFromBytes(sha256(canonicalForm(content)).subarray(0, ID_BYTES));
}

function canonicalForm(content: JobContent): Buffer {
  return Buffer.concat([
    text('seam-job-1'),
    text(content.chain),
    number(content.height),
    text(content.parent),
    number(content.version),
    number(content.versionMask),
    number(content.nbits),
    number(content.curtime),
    number(content.mintime),
    ...coinbaseParts(content.coinbase),
    number(content.merkleBranch.length),
    ...content.merkleBranch.map(text),
    content.bodyId === null ? number(0) : number(1),
    text(content.bodyId ?? ''),
  ]);
}

function coinbaseParts(coinbase: MinableCoinbase): Buffer[] {
  return [
    number(coinbase.version),
    text(coinbase.scriptSigHead),
    number(coinbase.extranonce1Size),
    number(coinbase.extranonce2Size),
    text(coinbase.scriptSigTail),
    number(coinbase.sequence),
    number(coinbase.valueSat),
    text(coinbase.poolScript),
    number(coinbase.feeBasisPoints),
    number(coinbase.extraOutputs.length),
    ...coinbase.extraOutputs.flatMap(({ valueSat, script }) => [number(valueSat), text(script)]),
    number(coinbase.lockTime),
  ];
}

function number(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([number(bytes.length), bytes]);
}
