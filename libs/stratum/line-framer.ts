/** Splits bytes of a miner's socket into lines. Finds line ends only: no JSON, no socket. */

const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const NOTHING = new Uint8Array(0);

/** What one chunk completed. `line_too_long` ends the connection; the lines before the long one still stand. */
export interface Framed {
  readonly kind: 'lines' | 'line_too_long';
  /** Without line ends, never empty. Views of the chunk where a line lies in it wholly. */
  readonly lines: readonly Uint8Array[];
}

/**
 * One direction of one connection. Lines end with LF or CRLF; empty ones are skipped. The unfinished rest of a chunk
 * is copied, so that a slow line does not keep a read buffer alive; at most `lineBytesMax` bytes are ever kept.
 */
export class LineFramer {
  readonly #lineBytesMax: number;
  /** Pieces of the unfinished line, joined when it ends: joining at every chunk would be quadratic. */
  #pieces: Uint8Array[] = [];
  #pendingBytes = 0;
  #isBroken = false;

  /**
   * @param lineBytesMax [bytes] longest line accepted, its LF or CRLF not counted
   * @param partial the unfinished line of the framer this one takes over from
   */
  constructor(lineBytesMax: number, partial: Uint8Array = NOTHING) {
    this.#lineBytesMax = lineBytesMax;
    if (partial.length > 0) this.#keep(partial);
  }

  /** [bytes] of the unfinished line */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /** A copy of the unfinished line, for whoever takes the connection over. */
  get partial(): Uint8Array {
    return this.#pieces.length === 0 ? NOTHING : Buffer.concat(this.#pieces);
  }

  /** The lines that `chunk` completes. After `line_too_long` every further chunk gives that again, with no lines. */
  push(chunk: Uint8Array): Framed {
    if (this.#isBroken) return { kind: 'line_too_long', lines: [] };
    const lines: Uint8Array[] = [];
    let start = 0;
    for (;;) {
      const end = chunk.indexOf(LINE_FEED, start);
      if (end === -1) break;
      const line = trimmed(this.#finish(chunk.subarray(start, end)));
      if (line.length > this.#lineBytesMax) return this.#break(lines);
      if (line.length > 0) lines.push(line);
      start = end + 1;
    }
    if (start < chunk.length) this.#keep(chunk.subarray(start));
    if (this.#isPendingTooLong()) return this.#break(lines);
    return { kind: 'lines', lines };
  }

  #finish(tail: Uint8Array): Uint8Array {
    if (this.#pieces.length === 0) return tail;
    const line = Buffer.concat([...this.#pieces, tail]);
    this.#pieces = [];
    this.#pendingBytes = 0;
    return line;
  }

  #keep(rest: Uint8Array): void {
    // A drip of single bytes would cost an object each: short pieces are joined to the last one.
    const last = this.#pieces.at(-1);
    if (last !== undefined && last.length < 256) {
      this.#pieces[this.#pieces.length - 1] = Buffer.concat([last, rest]);
    } else {
      this.#pieces.push(Buffer.from(rest));
    }
    this.#pendingBytes += rest.length;
  }

  /** One byte above the bound may still be the CR of a CRLF. */
  #isPendingTooLong(): boolean {
    if (this.#pendingBytes <= this.#lineBytesMax) return false;
    const isMaybeCrlf = this.#pieces.at(-1)?.at(-1) === CARRIAGE_RETURN;
    return !isMaybeCrlf || this.#pendingBytes > this.#lineBytesMax + 1;
  }

  #break(lines: readonly Uint8Array[]): Framed {
    this.#isBroken = true;
    this.#pieces = [];
    this.#pendingBytes = 0;
    return { kind: 'line_too_long', lines };
  }
}

function trimmed(line: Uint8Array): Uint8Array {
  return line.at(-1) === CARRIAGE_RETURN ? line.subarray(0, -1) : line;
}
