/** What a stratum-server knows about a connection, and what it may do about it. Types only. */
import type { Buffer } from 'node:buffer';
import type { ChainParams } from '#libs/bitcoin/chains.ts';
import type { Job } from '#libs/contracts/job.ts';
import type { ResolvedListener } from '#libs/contracts/pool-config.ts';
import type { VardiffState } from '#libs/mining/vardiff.ts';
import type { RejectReason } from '#libs/stratum/codes.ts';
import type { SubscribeRequest } from '#libs/stratum/request.ts';
import type { UserAgentProfile } from '#libs/stratum/user-agent.ts';
import type { DifficultyOptions, DifficultyStep, MaskStep } from './capsule.ts';

/** An authorised name. */
export interface SessionWorker {
  /** As the miner sends it. */
  readonly username: string;
  /** `address` or `address.rig`, as it stands in the books. */
  readonly name: string;
}

/** Stratum state of one connection, replaced at each step. */
export interface Session {
  /** HAProxy's unique id: the key in logs, Redis and shares. */
  readonly conn: string;
  readonly peerAddress: string;
  readonly listener: ResolvedListener;
  /** [ms] when this server took it */
  readonly openedMs: number;
  /** 32 hex digits, random: what a miner resumes with. */
  readonly sessionId: string;
  /** Hex, as the miner was told it, padding included; '' before mining.subscribe. */
  readonly extranonce1: string;
  /** [bytes] */
  readonly extranonce2Size: number;
  readonly userAgent: string;
  readonly profile: UserAgentProfile;
  readonly isSubscribed: boolean;
  readonly takesExtranonce: boolean;
  readonly rollsVersion: boolean;
  /** Oldest first, empty unless version rolling was granted. */
  readonly masks: readonly MaskStep[];
  /** What mining.configure was answered: the mask never has other bits. */
  readonly minerMask: number;
  readonly workers: readonly SessionWorker[];
  /** Hex of the script that owns the coinbase; '' in pool mode or before authorise. */
  readonly ownerScript: string;
  readonly options: DifficultyOptions;
  /** Oldest first; the last one is what the miner was told last. Empty before the first job. */
  readonly difficulties: readonly DifficultyStep[];
  /** Its difficulty is told with the next job if it differs from what was told last. undefined before the first job. */
  readonly vardiff: VardiffState | undefined;
  /** It was sent a job. */
  readonly isWorking: boolean;
  /** Requests that made no sense since the last good share. */
  readonly junk: number;
}

/** What a step may look at besides the session. */
export interface StepContext {
  readonly nowMs: number;
  readonly chain: ChainParams;
  readonly workersPerConnectionMax: number;
  /** The job everybody mines; undefined: none yet. */
  readonly job: Job | undefined;
  /** Of the chain, in share difficulty; undefined: not known yet. */
  readonly networkDifficulty: number | undefined;
  /** What client.get_version is answered. */
  readonly poolVersion: string;
}

/** What a step wants done, in this order. */
export type Effect =
  /** A line to the miner. */
  | { readonly kind: 'write'; readonly bytes: Buffer }
  /** The job to the miner, after everything before it; in a pool by joining the casts. */
  | { readonly kind: 'notify'; readonly job: Job; readonly isClean: boolean }
  /** Records for the capsule. */
  | { readonly kind: 'remember'; readonly record: Uint8Array }
  /** Find an extranonce1, then `subscribe()`; with a `resumeId` ask the store for that session first, then `resume()`. */
  | {
      readonly kind: 'find_extranonce';
      readonly request: SubscribeRequest;
      readonly resumeId: string;
    }
  /** A share to judge: `session.workers` has its name. */
  | {
      readonly kind: 'judge_share';
      readonly idJson: string;
      readonly params: readonly unknown[];
    }
  /** A worker may mine from now on: for the index of connections and the store of sessions. */
  | { readonly kind: 'authorized'; readonly worker: SessionWorker }
  /** A keep-alive line that the agent takes. */
  | { readonly kind: 'keep_alive'; readonly bytes: Buffer }
  /** Counted, by reason. */
  | { readonly kind: 'refused'; readonly reason: RejectReason }
  /** The connection ends after what was written. */
  | { readonly kind: 'close'; readonly reason: string };

export type Next = readonly [Session, readonly Effect[]];
