/**
 * Where log lines go. A full disk or a reader that went away costs lines, never the process: pino's own output ends it
 * with ENOSPC, and then tries for ever to write the rest.
 */
import { writeSync } from 'node:fs';

export class LogOutput {
  readonly #fd: number;
  #onDropped: () => void = () => undefined;

  constructor(fd: number) {
    this.#fd = fd;
  }

  /** Tells of each line that could not be written whole. */
  onDropped(listener: () => void): void {
    this.#onDropped = listener;
  }

  write(line: string): void {
    const bytes = Buffer.from(line);
    try {
      for (let written = 0; written < bytes.length; )
        written += writeSync(this.#fd, bytes, written);
    } catch {
      this.#onDropped(); // There is nowhere left to say why.
    }
  }
}
