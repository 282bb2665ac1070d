/** What this jobmanager answers on the bus. */
import type { Bus, Origin } from '#libs/bus/bus.ts';
import { WireError } from '#libs/bitcoin/errors.ts';
import { hexFromBytes } from '#libs/bitcoin/hex.ts';
import { blockRelay } from '#libs/contracts/block-relay.ts';
import { blockSubmit } from '#libs/contracts/block-submit.ts';
import type { ReplyOf, RequestOf } from '#libs/contracts/define.ts';
import { jobLookup } from '#libs/contracts/job-lookup.ts';
import { jobSnapshot } from '#libs/contracts/job-snapshot.ts';
import { findJob, isCurrentHeight, type JobShelf, liveJobs } from '../core/job-shelf.ts';
import { readRelayedBlock } from '../core/relayed-block.ts';
import type { BlockPath } from './block-path.ts';
import type { BlockSubmitter } from './block-submitter.ts';
import type { RedisShelf } from './redis-shelf.ts';

/** [jobs] in a snapshot, by its contract */
const SNAPSHOT_MAX = 64;

export interface BusApiOptions {
  readonly chain: string;
  readonly shelf: () => JobShelf;
  /** [ms] since when we are ready; undefined: we are not */
  readonly readySinceMs: () => number | undefined;
  /** [ms] since a node confirmed the tip */
  readonly tipAgeMs: () => number;
  readonly redis: Pick<RedisShelf, 'getJob'>;
  readonly blocks: BlockPath;
  readonly submitter: BlockSubmitter;
  /** Blocks our nodes called invalid. */
  readonly refused: () => readonly string[];
  readonly onRefused: (hash: string) => void;
}

/** Serves every RPC of a jobmanager until disposed. */
export function serveBusApi(bus: Pick<Bus, 'serve'>, options: BusApiOptions): Disposable {
  const served = new DisposableStack();
  served.use(bus.serve(jobSnapshot, (request) => snapshot(options, request)));
  served.use(bus.serve(jobLookup, (request) => lookUp(options, request)));
  served.use(bus.serve(blockSubmit, (request) => options.blocks.submit(request)));
  served.use(bus.serve(blockRelay, (request, origin) => takeRelayed(options, request, origin)));
  return served;
}

function snapshot(
  { chain, shelf, readySinceMs, tipAgeMs, refused }: BusApiOptions,
  request: RequestOf<typeof jobSnapshot>,
): ReplyOf<typeof jobSnapshot> {
  assertChain(chain, request.chain);
  const sinceMs = readySinceMs();
  const ageMs = Math.min(Math.round(tipAgeMs()), Number.MAX_SAFE_INTEGER); // Infinity: never.
  // Not ready: what we have is not worth a share.
  const jobs = sinceMs === undefined ? [] : liveJobs(shelf(), SNAPSHOT_MAX);
  return {
    jobs: [...jobs],
    startedMs: sinceMs ?? 0,
    lastTemplateAgeMs: Math.max(0, ageMs),
    refused: [...refused()],
  };
}

async function lookUp(
  { chain, shelf, redis }: BusApiOptions,
  request: RequestOf<typeof jobLookup>,
): Promise<ReplyOf<typeof jobLookup>> {
  assertChain(chain, request.chain);
  const job = findJob(shelf(), request.jobId) ?? (await redis.getJob(request.jobId));
  if (job === undefined) return { job: null, isCurrentHeight: false };
  return { job, isCurrentHeight: isCurrentHeight(shelf(), job) };
}

async function takeRelayed(
  { chain, submitter, onRefused }: BusApiOptions,
  request: RequestOf<typeof blockRelay>,
  { attachments }: Origin,
): Promise<ReplyOf<typeof blockRelay>> {
  assertChain(chain, request.chain);
  const [block = new Uint8Array()] = attachments;
  const problem = problemOf(block, request.hash);
  if (problem !== undefined) return { outcome: 'rejected', reason: problem };
  const { outcome, reason } = await submitter.submit(request.hash, hexFromBytes(block));
  if (outcome === 'rejected') onRefused(request.hash);
  const isKnown = outcome !== 'body_unknown';
  return { outcome: isKnown ? outcome : 'unavailable', reason: reason.slice(0, 512) };
}

/** Why these bytes are not the block of that hash; undefined: they are. */
function problemOf(block: Uint8Array, hash: string): string | undefined {
  try {
    return readRelayedBlock(block).hash === hash ? undefined : 'the block has another hash';
  } catch (error) {
    if (error instanceof WireError) return error.message;
    throw error;
  }
}

function assertChain(own: string, asked: string): void {
  if (asked !== own)
    throw new RangeError(`Cannot answer for ${asked}: this jobmanager serves ${own}`);
}
