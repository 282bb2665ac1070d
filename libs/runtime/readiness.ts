/** Whether the service can do its work, and why not: what /readyz says. */
import type { Gauge } from '@prometheus-io/client';

export interface ReadinessState {
  readonly isReady: boolean;
  readonly reason: string;
}

export class Readiness {
  readonly #gauge: Pick<Gauge, 'set'>;
  #current: ReadinessState = { isReady: false, reason: 'starting' };

  constructor(gauge: Pick<Gauge, 'set'>) {
    this.#gauge = gauge;
    gauge.set(0);
  }

  get current(): ReadinessState {
    return this.#current;
  }

  /** @returns whether it became ready, or ceased to be */
  set(isReady: boolean, reason: string): boolean {
    const before = this.#current;
    this.#current = { isReady, reason };
    this.#gauge.set(isReady ? 1 : 0);
    return before.isReady !== isReady;
  }
}
