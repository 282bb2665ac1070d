/** Answers kept for a moment, so that many readers cost the store no more than one. Bounded. */

export interface Memo {
  /** What `load` gave for this key at most `ttlMs` ago; concurrent askers share one load. A failure is not kept. */
  get<T>(key: string, load: () => Promise<T>): Promise<T>;
}

interface Entry {
  readonly endMs: number;
  readonly value: Promise<unknown>;
}

/** @param entriesMax at this many the oldest goes */
export function createMemo(ttlMs: number, entriesMax: number, nowMs: () => number): Memo {
  const entries = new Map<string, Entry>();
  return {
    async get<T>(key: string, load: () => Promise<T>): Promise<T> {
      const known = entries.get(key);
      if (known !== undefined && nowMs() < known.endMs) return (await known.value) as T; // Of this key's load.
      const value = load();
      entries.delete(key);
      entries.set(key, { endMs: nowMs() + ttlMs, value });
      const [oldest] = entries.keys();
      if (entries.size > entriesMax && oldest !== undefined) entries.delete(oldest);
      try {
        return await value;
      } catch (error) {
        if (entries.get(key)?.value === value) entries.delete(key);
        throw error;
      }
    },
  };
}
