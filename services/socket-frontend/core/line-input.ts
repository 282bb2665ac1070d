/**
 * Input of one connection: chunks in, lines out, only as many as are asked for. What was read and not yet asked for
 * stays one chunk of bytes, never a list of lines: a list costs a hostile client nothing and us a hundredfold.
 */
import { LineFramer } from '#libs/stratum/line-framer.ts';

const LINE_FEED = 0x0a;
const NO_LINES: readonly Uint8Array[] = [];
const NO_BYTES = new Uint8Array(0);

export interface Taken {
  /** Without line ends. Views of the chunk: copy what is kept. */
  readonly lines: readonly Uint8Array[];
  /** The connection ends: a line passed the bound. The lines before it still stand. */
  readonly isTooLong: boolean;
}

const NOTHING: Taken = { lines: NO_LINES, isTooLong: false };

export class LineInput {
  readonly #lineBytesMax: number;
  #framer: LineFramer;
  #waiting: Uint8Array | undefined;

  /** @param lineBytesMax [bytes] longest line accepted */
  constructor(lineBytesMax: number) {
    this.#lineBytesMax = lineBytesMax;
    this.#framer = new LineFramer(lineBytesMax);
  }

  /** True if bytes wait that no one asked for yet: nothing more should be read. */
  get hasWaiting(): boolean {
    return this.#waiting !== undefined;
  }

  /** [bytes] held, lines and unfinished line together */
  get heldBytes(): number {
    return (this.#waiting?.length ?? 0) + this.#framer.pendingBytes;
  }

  /** A copy of all of it, for whoever takes the connection over: pushed into a fresh input it gives the same lines. */
  get rest(): Uint8Array {
    return Buffer.concat([this.#framer.partial, this.#waiting ?? NO_BYTES]);
  }

  /** Drops all of it: nobody knows any more what of it was answered. */
  forget(): void {
    this.#waiting = undefined;
    this.#framer = new LineFramer(this.#lineBytesMax);
  }

  push(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    this.#waiting = this.#waiting === undefined ? chunk : Buffer.concat([this.#waiting, chunk]);
  }

  /** The next lines, `max` at most. */
  take(max: number): Taken {
    const chunk = this.#waiting;
    if (chunk === undefined || max < 1) return NOTHING;
    const end = endOfLines(chunk, max);
    this.#waiting = end === chunk.length ? undefined : chunk.subarray(end);
    const { kind, lines } = this.#framer.push(
      end === chunk.length ? chunk : chunk.subarray(0, end),
    );
    return { lines, isTooLong: kind === 'line_too_long' };
  }
}

/** Where the `max`-th line of the chunk ends; its whole length if it has fewer. */
function endOfLines(chunk: Uint8Array, max: number): number {
  if (chunk.length <= max) return chunk.length; // Not even a line a byte.
  let end = 0;
  for (let count = 0; count < max; count += 1) {
    const lineFeed = chunk.indexOf(LINE_FEED, end);
    if (lineFeed === -1) return chunk.length;
    end = lineFeed + 1;
  }
  return end;
}
