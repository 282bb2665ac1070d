/** What the jobmanager thinks in: templates, bodies, jobs, other jobmanagers. Pure. */
import type { Job } from '#libs/contracts/job.ts';

/** Of a block template what jobs are made of; `BlockTemplate` of libs/coin-node is one. */
export interface Template {
  /** As an unsigned number. */
  readonly version: number;
  /** Version bits that must stay set (BIP 9). */
  readonly vbrequired: number;
  /** Display byte order. */
  readonly previousblockhash: string;
  readonly transactions: readonly TemplateTransaction[];
  readonly coinbaseaux: Readonly<Record<string, string>>;
  /** [sat] subsidy and all fees */
  readonly coinbasevalue: number;
  /** [s] */
  readonly mintime: number;
  /** [s] */
  readonly curtime: number;
  /** Compact target, 8 hex digits. */
  readonly bits: string;
  /** [blocks] */
  readonly height: number;
  readonly default_witness_commitment?: string | undefined;
  /** Hex of the MWEB block. */
  readonly mweb?: string | undefined;
}

export interface TemplateTransaction {
  readonly data: string;
  /** Display byte order, as `hash`. */
  readonly txid: string;
  readonly hash: string;
  /** [sat] Not given for a HogEx. */
  readonly fee?: number | undefined;
}

/** Everything of a block but its header and coinbase. */
export interface TemplateBody {
  /** First 16 bytes of a SHA-256 over the content, hex. */
  readonly bodyId: string;
  /** In block order, the coinbase left out. Shared between bodies: never written to. */
  readonly transactions: readonly Uint8Array[];
  readonly mweb: Uint8Array | undefined;
}

/** What the operator decided about the coinbase. */
export interface JobSettings {
  /** Id of the chain in the pool. */
  readonly chain: string;
  readonly versionMask: number;
  /** Hex of the output script of the payout address. */
  readonly poolScript: string;
  readonly tag: string;
  readonly feeBasisPoints: number;
  /** [bytes] */
  readonly extranonce1Size: number;
  /** [bytes] */
  readonly extranonce2Size: number;
}

/** A job on the shelf: known, so that shares for it are understood. */
export interface ShelvedJob {
  readonly job: Job;
  /** [ms] when it was announced */
  readonly announcedMs: number;
}
