/** The job as this folder needs it. `Job` of libs/contracts/job.ts, which describes each field, is one of these. */

export interface MinableCoinbase {
  readonly version: number;
  readonly scriptSigHead: string;
  readonly extranonce1Size: number;
  readonly extranonce2Size: number;
  readonly scriptSigTail: string;
  readonly sequence: number;
  readonly valueSat: number;
  readonly poolScript: string;
  readonly feeBasisPoints: number;
  readonly extraOutputs: readonly { readonly valueSat: number; readonly script: string }[];
  readonly lockTime: number;
}

/** What a job's id is made from. */
export interface JobContent {
  readonly chain: string;
  readonly height: number;
  readonly parent: string;
  readonly version: number;
  readonly versionMask: number;
  readonly nbits: number;
  readonly curtime: number;
  readonly mintime: number;
  readonly coinbase: MinableCoinbase;
  readonly merkleBranch: readonly string[];
  readonly bodyId: string | null;
}

export interface MinableJob extends JobContent {
  readonly jobId: string;
}
