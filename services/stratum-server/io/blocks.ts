/**
 * The block path: a solved block goes to every jobmanager of its chain until one has it accepted, or all refuse it.
 *
 * Note [Block path]
 * The candidate is written with the shares of its turn. The disk's sync is started, waited for at most `SYNC_WAIT_MS`, and
 * then every jobmanager is called in parallel, whatever the disk said. The first `accepted` or `duplicate` settles it;
 * calls already under way go on. What is not settled is tried again with backoff while the process lives, and after
 * it by whoever adopts the journal.
 */
import type { Logger } from 'pino';
import type { Bus, BusPeer } from '#libs/bus/bus.ts';
import { type BlockSubmit, blockSubmit } from '#libs/contracts/block-submit.ts';
import type { CandidateRecord, SettledRecord } from '#libs/journal/record.ts';
import type { Journal } from '#libs/journal/journal.ts';
import type { Registry } from '#libs/registry/registry.ts';
import type { Metrics } from '../metrics.ts';
import { reachableJobmanagers } from './jobmanagers.ts';
import { pause } from './wait.ts';

const SYNC_WAIT_MS = 20;
const RETRY_FIRST_MS = 100;
const RETRY_MAX_MS = 5_000;
/** Candidates tried at a time; those beyond wait in order. */
const CONCURRENT_MAX = 256;
/** Candidates kept in memory; those beyond stay in the journal alone, for whoever adopts it. */
const PENDING_MAX = 16_384;
/** Hashes remembered as offered. */
const CLAIMED_MAX = 4_096;
/** [ms] after which a candidate is left to the journal: no node takes a block that late */
const GIVE_UP_MS = 6 * 3_600_000;

export interface BlockPath extends AsyncDisposable {
  /** Whether a block is new here; from now on it is not. A share that is sent again and again is offered once. */
  claim(hash: string): boolean;
  /**
   * A candidate that was just written (or could not be). Returns at once.
   *
   * @param journal where its fate is recorded; undefined: there is none
   */
  offer(submission: BlockSubmit, journal: Journal | undefined): void;
  /** Unsettled candidates of a journal that was found on the disk. */
  offerAgain(journal: Journal): void;
  /** Candidates without a verdict. */
  readonly unsettled: number;
}

export interface BlockPathParts {
  readonly chain: string;
  readonly bus: Bus;
  readonly registry: Registry;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly nowMs: () => number;
}

type Outcome = Pick<SettledRecord, 'outcome' | 'reason'>;

/** The record a candidate leaves in the journal: enough to submit it again after a crash. */
export function candidateRecordOf(submission: BlockSubmit): CandidateRecord {
  return {
    kind: 'candidate',
    timeMs: submission.foundMs,
    worker: submission.worker,
    hash: submission.hash,
    height: submission.job.height,
    submission: JSON.stringify(submission),
  };
}

export function createBlockPath(parts: BlockPathParts): BlockPath {
  const { chain, bus, registry, log, metrics, nowMs } = parts;
  const stopping = new AbortController();
  const running = new Map<string, Promise<void>>();
  const waiting: (() => void)[] = [];
  const claimed = new Set<string>();

  function claim(hash: string): boolean {
    if (claimed.has(hash)) return false;
    const [oldest] = claimed;
    if (claimed.size >= CLAIMED_MAX && oldest !== undefined) claimed.delete(oldest);
    claimed.add(hash);
    return true;
  }

  function begin(submission: BlockSubmit, journal: Journal | undefined, isNew: boolean): void {
    const { hash } = submission;
    if (running.has(hash) || stopping.signal.aborted) return;
    if (running.size >= PENDING_MAX) {
      metrics.candidates.inc({ chain, outcome: 'not_offered' });
      return log.error({ chain, hash }, 'too many unsettled blocks: left to the journal');
    }
    const run = settle(submission, journal, isNew)
      .catch((error: unknown) => log.error({ chain, hash, err: error }, 'block path failed'))
      .finally(() => {
        running.delete(hash);
        metrics.unsettledCandidates.set({ chain }, running.size);
        waiting.shift()?.();
      });
    running.set(hash, run);
    metrics.unsettledCandidates.set({ chain }, running.size);
  }

  async function settle(submission: BlockSubmit, journal: Journal | undefined, isNew: boolean) {
    if (isNew) await waitForDisk(journal);
    if (running.size > CONCURRENT_MAX) await turnOf();
    const outcome = await submitUntilSettled(submission);
    if (outcome === undefined) return; // Stopping, or too late: the journal keeps it unsettled.
    const { hash, job } = submission;
    metrics.candidates.inc({ chain, outcome: outcome.outcome });
    log.info({ chain, hash, height: job.height, ...outcome }, 'block settled');
    record(journal, { kind: 'settled', timeMs: nowMs(), hash, ...outcome });
  }

  function turnOf(): Promise<void> {
    return new Promise((resolve) => waiting.push(resolve));
  }

  /** A failing or slow disk never delays a block: See Note [Block path]. */
  async function waitForDisk(journal: Journal | undefined): Promise<void> {
    const synced = journal?.sync().then(
      () => true,
      (error: unknown) => {
        log.error({ chain, err: error }, 'candidate not synced');
        return true;
      },
    );
    const isDone = await Promise.race([synced ?? true, pause(SYNC_WAIT_MS).then(() => false)]);
    if (!isDone) metrics.syncLate.inc({ chain });
  }

  async function submitUntilSettled(submission: BlockSubmit): Promise<Outcome | undefined> {
    const refusals = new Map<string, string>();
    const endMs = nowMs() + GIVE_UP_MS;
    for (let waitMs = RETRY_FIRST_MS; !stopping.signal.aborted && nowMs() < endMs; waitMs *= 2) {
      const outcome = await submitToAll(submission, refusals);
      if (outcome !== undefined) return outcome;
      waitMs = Math.min(waitMs, RETRY_MAX_MS);
      await pause(waitMs, stopping.signal);
    }
    return undefined;
  }

  /** Undefined: nobody took it, and not everybody refused it. */
  async function submitToAll(
    submission: BlockSubmit,
    refusals: Map<string, string>,
  ): Promise<Outcome | undefined> {
    const peers = reachableJobmanagers(bus, registry, chain);
    const open = peers.filter((peer) => !refusals.has(peer.bootId));
    const calls = open.map((peer) => submitTo(peer, submission, refusals));
    const taken = await Promise.any(calls).catch(() => undefined);
    if (taken !== undefined) return taken;
    if (peers.length === 0 || peers.some((peer) => !refusals.has(peer.bootId))) return undefined;
    return { outcome: 'rejected', reason: [...refusals.values()].at(-1) ?? '' };
  }

  /** Resolves if the block is in; otherwise throws, having noted a refusal. */
  async function submitTo(
    peer: BusPeer,
    submission: BlockSubmit,
    refusals: Map<string, string>,
  ): Promise<Outcome> {
    const target = { kind: 'instance', role: peer.role, id: peer.id } as const;
    const { outcome, reason } = await bus.call(target, blockSubmit, submission, {
      signal: stopping.signal,
    });
    if (outcome === 'accepted' || outcome === 'duplicate') return { outcome, reason };
    if (outcome === 'rejected') refusals.set(peer.bootId, reason);
    log.warn(
      { chain, hash: submission.hash, jobmanager: peer.id, outcome, reason },
      'block not taken',
    );
    throw new Error(`Cannot submit block: ${peer.id} says ${outcome}`);
  }

  function record(journal: Journal | undefined, settled: SettledRecord): void {
    if (journal === undefined) return;
    try {
      journal.append(settled);
      journal.flush();
    } catch (error) {
      log.error({ chain, hash: settled.hash, err: error }, 'block settled but not recorded');
      metrics.journalFailures.inc({ chain });
    }
  }

  return {
    claim,
    offer: (submission, journal) => begin(submission, journal, true),
    offerAgain(journal) {
      for (const { hash, submission } of journal.unsettledCandidates()) {
        const parsed = blockSubmit.request.safeParse(jsonOf(submission));
        if (parsed.success) {
          claim(hash);
          begin(parsed.data, journal, false);
        } else log.error({ chain, hash }, 'candidate of an adopted journal cannot be read');
      }
    },
    get unsettled() {
      return running.size;
    },
    async [Symbol.asyncDispose]() {
      stopping.abort();
      for (const proceed of waiting.splice(0)) proceed();
      await Promise.allSettled(running.values());
    },
  };
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // No candidate of ours: the schema says so.
  }
}
