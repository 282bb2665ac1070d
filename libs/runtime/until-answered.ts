/** Waiting for what must be there before a process can start. */
import { setTimeout as sleep } from 'node:timers/promises';
import { ConfigError, UnavailableError } from './errors.ts';

export interface UntilAnswered {
  /** What is missing and what to do about it, for the error. */
  readonly what: string;
  /** [ms] */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** [ms] between tries */
const EVERY_MS = 100;

/**
 * Repeats `ask` until it gives something. What it throws means "not yet", except a wrong configuration.
 *
 * @throws {UnavailableError} after `timeoutMs`, with the last error as cause
 * @throws {ConfigError} as soon as `ask` does
 * @throws the signal's reason when it aborts
 */
export async function untilAnswered<T>(
  ask: () => Promise<T | undefined>,
  { what, timeoutMs, signal }: UntilAnswered,
): Promise<T> {
  const endMs = performance.now() + timeoutMs;
  let cause: unknown;
  do {
    signal.throwIfAborted();
    try {
      const answer = await ask();
      if (answer !== undefined) return answer;
      cause = undefined;
    } catch (error) {
      if (error instanceof ConfigError) throw error;
      cause = error;
    }
    await sleep(EVERY_MS, undefined, { signal });
  } while (performance.now() < endMs);
  throw new UnavailableError(`Cannot start: ${what} (waited ${timeoutMs / 1_000} s)`, { cause });
}
