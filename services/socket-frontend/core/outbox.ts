/**
 * What waits to be written to one connection. Writes keep their order and are never dropped. Of the casts that wait only
 * the newest is kept: a socket that was slow for a minute gets today's work, not a minute of old work.
 */
import type { Mark } from '#libs/link/items.ts';

export interface Cast {
  /** The server and group it came by: casts of different groups do not replace each other. */
  readonly server: string;
  readonly group: number;
  readonly bytes: Uint8Array;
  readonly mark: Mark;
  readonly replaces: 'refresh' | 'all';
}

interface Waiting {
  readonly bytes: Uint8Array;
  readonly mark: Mark;
  readonly cast: Cast | undefined;
}

export interface Batch {
  readonly bytes: Uint8Array;
  /** Not empty ones, in the order they stand in `bytes`. */
  readonly marks: readonly Mark[];
}

const NO_MARK: Mark = new Uint8Array(0);

export class Outbox {
  #waiting: Waiting[] = [];
  #bytes = 0;

  /** [bytes] that wait */
  get bytes(): number {
    return this.#bytes;
  }

  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }

  write(bytes: Uint8Array, mark: Mark = NO_MARK): void {
    this.#add({ bytes, mark, cast: undefined });
  }

  /** Adds a cast, and drops those it replaces. Returns how many those were. */
  cast(cast: Cast): number {
    const dropped = this.#dropReplaced(cast);
    this.#add({ bytes: cast.bytes, mark: cast.mark, cast });
    return dropped;
  }

  /** Everything that waits as one piece; undefined if nothing does. */
  take(): Batch | undefined {
    const [first] = this.#waiting;
    if (first === undefined) return undefined;
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#bytes = 0;
    if (waiting.length === 1)
      return { bytes: first.bytes, marks: first.mark.length > 0 ? [first.mark] : [] };
    return {
      bytes: Buffer.concat(waiting.map(({ bytes }) => bytes)),
      marks: waiting.flatMap(({ mark }) => (mark.length > 0 ? [mark] : [])),
    };
  }

  #add(waiting: Waiting): void {
    this.#waiting.push(waiting);
    this.#bytes += waiting.bytes.length;
  }

  #dropReplaced(newer: Cast): number {
    const kept = this.#waiting.filter(({ cast }) => cast === undefined || !replaces(newer, cast));
    const dropped = this.#waiting.length - kept.length;
    if (dropped === 0) return 0;
    this.#waiting = kept;
    this.#bytes = kept.reduce((sum, { bytes }) => sum + bytes.length, 0);
    return dropped;
  }
}

/** A refresh never replaces an unsent clean notify: the miner would go on with the old block's work. */
function replaces(newer: Cast, older: Cast): boolean {
  // A group means something within one server only; what another server cast before is older work in any case.
  const isSameStream = newer.server !== older.server || newer.group === older.group;
  return isSameStream && (newer.replaces === 'all' || older.replaces === 'refresh');
}
