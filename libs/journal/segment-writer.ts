/** Appends to one segment, synchronously, and syncs it in the background. */
import { closeSync, fdatasync, ftruncateSync, openSync, rmSync, writeSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { encodeSegmentHeader, type SegmentHeader, segmentName } from './segment.ts';

const dataSync = promisify(fdatasync);

export class SegmentWriter {
  readonly path: string;
  readonly firstIndex: number;
  readonly #fd: number;
  #bytes: number;
  #isDirty = true;
  #isInFolder = false;

  /** Creates the file with its header. @throws the system's error, having left no file */
  constructor(folder: string, header: SegmentHeader) {
    this.path = join(folder, segmentName(header));
    this.firstIndex = header.firstIndex;
    this.#fd = openSync(this.path, 'wx', 0o600);
    const bytes = encodeSegmentHeader(header);
    try {
      writeAll(this.#fd, bytes, 0);
    } catch (error) {
      closeSync(this.#fd);
      rmSync(this.path, { force: true });
      throw error;
    }
    this.#bytes = bytes.length;
  }

  /** [bytes] of the header and all whole writes */
  get bytes(): number {
    return this.#bytes;
  }

  /** Writes all of it behind what was written before, or nothing. @throws the system's error */
  write(bytes: Uint8Array): void {
    try {
      writeAll(this.#fd, bytes, this.#bytes);
    } catch (error) {
      this.#cutBack();
      throw error;
    }
    this.#bytes += bytes.length;
    this.#isDirty = true;
  }

  /** Resolves when everything written before is on the disk. @throws the system's error */
  async sync(): Promise<void> {
    if (!this.#isDirty) return;
    this.#isDirty = false;
    try {
      await dataSync(this.#fd);
      if (!this.#isInFolder) await syncFolder(dirname(this.path));
      this.#isInFolder = true;
    } catch (error) {
      this.#isDirty = true;
      throw error;
    }
  }

  /** Nothing may be written or synced afterwards. */
  close(): void {
    closeSync(this.#fd);
  }

  /** Removes a segment that never held a record. */
  discard(): void {
    closeSync(this.#fd);
    rmSync(this.path, { force: true });
  }

  /** Half a write must not stay: its records were refused. If this fails too, the next write goes over it. */
  #cutBack(): void {
    try {
      ftruncateSync(this.#fd, this.#bytes);
    } catch {
      return; // The disk is failing; recovery cuts off what is torn.
    }
  }
}

/** One write as a rule; a short one (a disk getting full) is continued until the system says why. */
function writeAll(fd: number, bytes: Uint8Array, position: number): void {
  for (let done = 0; done < bytes.length; )
    done += writeSync(fd, bytes, done, bytes.length - done, position + done);
}

/** Makes the name of a new file outlast a power loss. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
