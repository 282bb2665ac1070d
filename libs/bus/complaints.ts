/** The one place where what others sent wrong, or our own listeners threw, is counted and logged. */
import type { Logger } from 'pino';
import { AssertionError } from '#libs/assert.ts';
import type { BusMetrics } from './bus-metrics.ts';

export class Complaints {
  readonly #log: Logger;
  readonly #metrics: BusMetrics;
  readonly #told = new Set<string>();

  constructor(log: Logger, metrics: BusMetrics) {
    this.#log = log;
    this.#metrics = metrics;
  }

  /** Counts a malformed message; logs the first of each peer. `subject` must be one we know, else `unknown`. */
  malformed(subject: string, bootId: string, error: unknown): void {
    this.#metrics.malformed.inc({ subject });
    if (this.#told.has(bootId) || this.#told.size >= 1_024) return;
    this.#told.add(bootId);
    this.#log.warn({ subject, bootId, err: error }, 'malformed bus message');
  }

  /** A listener threw: our bug if it is an assertion, which nobody may catch. Else the bus goes on. */
  listenerThrew(subject: string, error: unknown): void {
    this.#metrics.handlerErrors.inc({ subject });
    // The world being down is told to the caller, who handles it; a bug is an error.
    this.#log[isBug(error) ? 'error' : 'warn']({ subject, err: error }, 'bus listener threw');
    if (error instanceof AssertionError) {
      queueMicrotask(() => {
        throw error;
      });
    }
  }

  forget(bootId: string): void {
    this.#told.delete(bootId);
  }
}

function isBug(error: unknown): boolean {
  return (
    error instanceof AssertionError || error instanceof TypeError || error instanceof ReferenceError
  );
}
