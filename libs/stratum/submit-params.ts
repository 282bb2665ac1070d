/** The parameters of mining.submit, validated strictly: anything loose here passes the duplicate check twice. */
import { Buffer } from 'node:buffer';
import type { ShareRejectReason } from './codes.ts';

export interface SubmitParams {
  /** As sent; must be one of the session's authorised names. */
  readonly username: string;
  /** 16 lower-case hex digits. */
  readonly jobId: string;
  /** Exactly the session's size. */
  readonly extranonce2: Uint8Array;
  readonly ntime: number;
  readonly nonce: number;
  /** BIP 310: the rolled bits, undefined if none were sent. See rolledVersion(). */
  readonly versionBits: number | undefined;
}

export type SubmitParse =
  | { readonly kind: 'valid'; readonly submit: SubmitParams }
  | { readonly kind: 'invalid'; readonly reason: ShareRejectReason };

const HEX = /^[0-9a-fA-F]*$/;
const UINT32_HEX = /^[0-9a-fA-F]{8}$/;
const JOB_ID = /^[0-9a-fA-F]{16}$/;
const JOB_ID_CHARS_MAX = 64;
const USERNAME_CHARS_MAX = 255;

/**
 * `[worker, job_id, extranonce2, ntime, nonce(, version_bits)]`; hex of either case. A job id that is a string but
 * none of ours is `unknown_job`, so that a miner that comes from another pool hears 21.
 *
 * @param extranonce2Size [bytes] of the session
 */
export function parseSubmitParams(
  params: readonly unknown[],
  extranonce2Size: number,
): SubmitParse {
  const [username, jobId, extranonce2, ntime, nonce, versionBits] = params;
  if (params.length < 5 || params.length > 6) return invalid('malformed_submit');
  if (typeof username !== 'string' || username.length > USERNAME_CHARS_MAX)
    return invalid('malformed_submit');
  if (typeof jobId !== 'string' || jobId.length > JOB_ID_CHARS_MAX)
    return invalid('malformed_submit');
  if (typeof extranonce2 !== 'string' || !HEX.test(extranonce2)) return invalid('malformed_submit');
  if (!isUint32Hex(ntime) || !isUint32Hex(nonce)) return invalid('malformed_submit');
  const hasBits = versionBits !== undefined && versionBits !== null;
  if (hasBits && !isUint32Hex(versionBits)) return invalid('malformed_submit');
  if (extranonce2.length !== extranonce2Size * 2) return invalid('bad_extranonce2_size');
  if (!JOB_ID.test(jobId)) return invalid('unknown_job');
  return {
    kind: 'valid',
    submit: {
      username,
      jobId: jobId.toLowerCase(),
      extranonce2: Buffer.from(extranonce2, 'hex'),
      ntime: Number.parseInt(ntime, 16),
      nonce: Number.parseInt(nonce, 16),
      versionBits: hasBits ? Number.parseInt(versionBits, 16) : undefined,
    },
  };
}

function isUint32Hex(value: unknown): value is string {
  return typeof value === 'string' && UINT32_HEX.test(value);
}

function invalid(reason: ShareRejectReason): SubmitParse {
  return { kind: 'invalid', reason };
}
