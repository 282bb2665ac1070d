/** What one subscription has seen of each publisher: finds gaps. Pure. */

/** `gap`: something of this stream was lost, or sent before we joined. `isNew`: not seen before. */
export interface Observation {
  readonly gap: boolean;
  readonly isNew: boolean;
}

/** One stream is one subject and key of one boot of a publisher. */
export class SequenceTracker {
  readonly #last = new Map<string, Map<string, number>>();

  /** A message with this sequence arrived. */
  message(bootId: string, stream: string, sequence: number): Observation {
    const last = this.#advance(bootId, stream, sequence);
    return { gap: sequence > last + 1, isNew: sequence > last };
  }

  /** The publisher says that this was its last message. */
  beat(bootId: string, stream: string, sequence: number): Observation {
    const last = this.#advance(bootId, stream, sequence);
    return { gap: sequence > last, isNew: sequence > last };
  }

  /** This boot will not come again. */
  forget(bootId: string): void {
    this.#last.delete(bootId);
  }

  /** The newest sequence before this one; 0: none, and a publisher that has sent nothing is at 0 too. */
  #advance(bootId: string, stream: string, sequence: number): number {
    let streams = this.#last.get(bootId);
    if (streams === undefined) this.#last.set(bootId, (streams = new Map()));
    const last = streams.get(stream) ?? 0;
    if (sequence > last) streams.set(stream, sequence);
    return last;
  }
}
