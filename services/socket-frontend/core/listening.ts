/** Which listeners are up: a frontend listens for a port only while a server has work for it. */
import type { ServerKey } from './model.ts';

interface Word {
  readonly isUp: boolean;
  /** [ms] when its link ended; undefined: it is there */
  readonly lostMs: number | undefined;
}

/** What each server last said about each listener. */
export class Listening {
  readonly #keepMs: number;
  readonly #words = new Map<string, Map<ServerKey, Word>>();

  /** @param keepMs [ms] the word of a server that was lost counts: a restart of all servers does not take listeners down */
  constructor(keepMs: number) {
    this.#keepMs = keepMs;
  }

  say(server: ServerKey, listener: string, isUp: boolean): void {
    const words = this.#words.get(listener) ?? new Map<ServerKey, Word>();
    words.set(server, { isUp, lostMs: undefined });
    this.#words.set(listener, words);
  }

  lose(server: ServerKey, nowMs: number): void {
    for (const words of this.#words.values()) {
      const word = words.get(server);
      if (word !== undefined) words.set(server, { ...word, lostMs: nowMs });
    }
  }

  /** True if this server, which is there, takes connections of the listener. */
  takes(server: ServerKey, listener: string): boolean {
    const word = this.#words.get(listener)?.get(server);
    return word?.isUp === true && word.lostMs === undefined;
  }

  /** The listeners that should be up. Forgets words that are too old. */
  up(nowMs: number): ReadonlySet<string> {
    const up = new Set<string>();
    for (const [listener, words] of this.#words) {
      for (const [server, { isUp, lostMs }] of words) {
        if (lostMs !== undefined && nowMs - lostMs > this.#keepMs) words.delete(server);
        else if (isUp) up.add(listener);
      }
    }
    return up;
  }
}
