/**
 * getblocktemplate with `longpollid` (BIP 22): the node holds the call until there is something new to mine. The
 * second-fastest word of a new block, and the one that brings new transactions without being asked.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { backoffMs } from './backoff.ts';
import type { BlockTemplate } from './block-template.ts';
import { RpcError } from './errors.ts';

/**
 * [ms] Core answers after about a minute when the mempool changed, and never while nothing changes. Giving up frees nothing:
 * see Note [Held calls].
 *
 * Note [Held calls]
 * The node keeps one of its RPC threads (`rpcthreads`, 4 by default) for a held call until there is a new block, also when
 * the caller is long gone. Callers that come and go on a quiet chain would take all of them, and the node would answer
 * nobody, not even to a submitted block (seen on litecoind). So a call is held as long as it takes, by one caller at a
 * time, and only at a node that has no ZMQ to tell of its blocks.
 */
export const LONG_POLL_TIMEOUT_MS = 3_600_000;

const SAME_PARENT_PAUSE_MS = 1_000;

export interface LongPollOptions {
  /** What the last template carried; a node that gives none has no long poll. */
  readonly longPollId: string | undefined;
  readonly signal: AbortSignal;
  readonly random: () => number;
  /** One held call, ended by the signal or after {@link LONG_POLL_TIMEOUT_MS}. */
  readonly request: (longPollId: string) => Promise<BlockTemplate>;
  readonly onTemplate: (template: BlockTemplate) => void;
  /** A call failed (not: timed out); the next one waits a little. */
  readonly onFailure: (error: unknown) => void;
}

/** Runs until the signal is aborted or the node stops giving ids. */
export async function longPoll(options: LongPollOptions): Promise<void> {
  const { signal, random, request, onTemplate, onFailure } = options;
  let id = options.longPollId;
  let parent: string | undefined;
  let failures = 0;
  while (id !== undefined && !signal.aborted) {
    const outcome = await request(id).catch((error: unknown) => ({ error }));
    if (signal.aborted) return;
    let waitMs = 0;
    if ('error' in outcome) {
      if (isTimeout(outcome.error)) continue; // Nothing new in minutes: a quiet chain, not a failure.
      failures += 1;
      onFailure(outcome.error);
      waitMs = backoffMs(failures, random());
    } else {
      failures = 0;
      onTemplate(outcome);
      // A node that does not hold the call must not make us spin; a new block is never waited for.
      if (outcome.previousblockhash === parent) waitMs = SAME_PARENT_PAUSE_MS;
      parent = outcome.previousblockhash;
      id = outcome.longpollid;
    }
    if (waitMs > 0) await sleep(waitMs, undefined, { signal }).catch(() => undefined);
  }
}

function isTimeout(error: unknown): boolean {
  return error instanceof RpcError && error.code === 'timeout';
}
