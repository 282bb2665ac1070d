/** Which jobmanager of a chain is followed, and whether it has to be told of a block. */

/** A jobmanager as its announcements show it. */
export interface Source {
  readonly id: string;
  readonly bootId: string;
  /** [ms] since when it is ready */
  readonly startedMs: number;
  /** Hash of the block its newest job builds on, display byte order. */
  readonly parent: string;
}

/** The oldest ready one; of two equally old ones the one with the lower id. Undefined: there is none. */
export function activeSource(ready: readonly Source[]): Source | undefined {
  return ready.toSorted((a, b) => a.startedMs - b.startedMs || (a.id < b.id ? -1 : 1))[0];
}

/**
 * Whom to pass a block to that our node saw: the active jobmanager, unless that is us or it builds on the block
 * already.
 *
 * @param tip hash of the new best block, display byte order
 */
export function relayTarget(
  ready: readonly Source[],
  ownBootId: string,
  tip: string,
): Source | undefined {
  const active = activeSource(ready);
  return active === undefined || active.bootId === ownBootId || active.parent === tip
    ? undefined
    : active;
}
