/** Watches whether there is work, and says so to runtime and registry. */
import { judgeReadiness, type WorkState } from '../core/readiness.ts';

/** [ms] between two looks */
const LOOK_MS = 500;

export interface WorkWatchOptions {
  readonly staleWorkMs: number;
  readonly nowMs: () => number;
  readonly state: () => WorkState;
  readonly setReady: (isReady: boolean, reason?: string) => void;
}

export class WorkWatch implements Disposable {
  readonly #options: WorkWatchOptions;
  readonly #timer: NodeJS.Timeout;
  #sinceMs: number | undefined;
  #reason: string | undefined;

  constructor(options: WorkWatchOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.look(), LOOK_MS);
  }

  /** [ms] since when there is work; undefined: there is none. The oldest jobmanager is followed, so each recovery counts anew. */
  get readySinceMs(): number | undefined {
    return this.#sinceMs;
  }

  /** Looks now: after the first job, for instance. */
  look(): void {
    const { state, staleWorkMs, setReady, nowMs } = this.#options;
    const judged = judgeReadiness(state(), staleWorkMs);
    const reason = judged.isReady ? '' : judged.reason;
    if (reason === this.#reason) return;
    this.#reason = reason;
    this.#sinceMs = judged.isReady ? nowMs() : undefined;
    if (judged.isReady) setReady(true);
    else setReady(false, reason);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}
