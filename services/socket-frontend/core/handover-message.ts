/**
 * What the two sides of a hand-over say to each other: frames of length (u32), kind (u8) and fields, little-endian. The
 * descriptors themselves come another way (`io/handover-courier.ts`). See docs/handover.md.
 */
import { FieldReader, FieldWriter, HandoverError } from './handover-bytes.ts';

export const HANDOVER_VERSIONS: readonly number[] = [1];
/** [bytes] of a frame; a `go` is filled up to half of it */
export const FRAME_BYTES_MAX = 16_777_216;

export interface TravellingState {
  /** Which descriptor of the slice. */
  readonly index: number;
  /** See `handover-state.ts`. */
  readonly state: Uint8Array;
}

export type HandoverMessage =
  /** giver: first of all */
  | { readonly kind: 'hello'; readonly giver: string; readonly versions: readonly number[] }
  /** taker: version 0: none in common. `room`: connections it could take. Sent again when it changes. */
  | {
      readonly kind: 'welcome';
      readonly taker: string;
      readonly version: number;
      readonly room: number;
      readonly connections: number;
    }
  /** giver: wants to give so many connections */
  | { readonly kind: 'offer'; readonly slice: number; readonly count: number }
  /** taker: send the descriptors */
  | { readonly kind: 'accepted'; readonly slice: number }
  /** taker: not these, not now */
  | { readonly kind: 'refused'; readonly slice: number }
  /** taker: all descriptors are here, untouched */
  | { readonly kind: 'held'; readonly slice: number }
  /** giver: they are yours. Those without a state stay the giver's: drop their copies. */
  | { readonly kind: 'go'; readonly slice: number; readonly states: readonly TravellingState[] }
  /** taker: they are served here */
  | { readonly kind: 'started'; readonly slice: number }
  /** giver, on a new channel: what became of it? */
  | { readonly kind: 'ask'; readonly giver: string; readonly slice: number }
  /** taker: final. A `go` for a discarded slice is refused for ever. */
  | { readonly kind: 'verdict'; readonly slice: number; readonly isStarted: boolean };

const KINDS = [
  'hello',
  'welcome',
  'offer',
  'accepted',
  'refused',
  'held',
  'go',
  'started',
  'ask',
  'verdict',
] as const satisfies readonly HandoverMessage['kind'][];

/** The frame, its length included. */
export function encodeMessage(message: HandoverMessage): Buffer {
  const body = fieldsOf(message, new FieldWriter().u8(KINDS.indexOf(message.kind) + 1)).finish();
  return new FieldWriter().bytes(body).finish();
}

function fieldsOf(message: HandoverMessage, writer: FieldWriter): FieldWriter {
  switch (message.kind) {
    case 'hello':
      writer.text(message.giver).u8(message.versions.length);
      for (const version of message.versions) writer.u8(version);
      return writer;
    case 'welcome':
      return writer
        .text(message.taker)
        .u8(message.version)
        .u32(message.room)
        .u32(message.connections);
    case 'offer':
      return writer.u32(message.slice).u16(message.count);
    case 'accepted':
    case 'refused':
    case 'held':
    case 'started':
      return writer.u32(message.slice);
    case 'go':
      writer.u32(message.slice).u16(message.states.length);
      for (const { index, state } of message.states) writer.u16(index).bytes(state);
      return writer;
    case 'ask':
      return writer.text(message.giver).u32(message.slice);
    case 'verdict':
      return writer.u32(message.slice).u8(message.isStarted ? 1 : 0);
  }
}

/**
 * A frame's body. Undefined: a kind of a later version, to be skipped. Fields after the known ones are skipped too.
 *
 * @throws {HandoverError} `truncated`
 */
export function decodeMessage(body: Uint8Array): HandoverMessage | undefined {
  const reader = new FieldReader(body);
  const kind = KINDS[reader.u8() - 1];
  return kind === undefined ? undefined : fieldsFrom(kind, reader);
}

function fieldsFrom(kind: HandoverMessage['kind'], reader: FieldReader): HandoverMessage {
  switch (kind) {
    case 'hello':
      return { kind, giver: reader.text(), versions: listOf(reader.u8(), () => reader.u8()) };
    case 'welcome': {
      const [taker, version] = [reader.text(), reader.u8()];
      return { kind, taker, version, room: reader.u32(), connections: reader.u32() };
    }
    case 'offer':
      return { kind, slice: reader.u32(), count: reader.u16() };
    case 'accepted':
    case 'refused':
    case 'held':
    case 'started':
      return { kind, slice: reader.u32() };
    case 'go': {
      const slice = reader.u32();
      const states = listOf(reader.u16(), () => ({ index: reader.u16(), state: reader.bytes() }));
      return { kind, slice, states };
    }
    case 'ask':
      return { kind, giver: reader.text(), slice: reader.u32() };
    case 'verdict':
      return { kind, slice: reader.u32(), isStarted: reader.u8() === 1 };
  }
}

/** One after the other: a count that lies ends at the first missing byte. */
function listOf<T>(count: number, read: () => T): readonly T[] {
  const list: T[] = [];
  for (let index = 0; index < count; index += 1) list.push(read());
  return list;
}

/** Cuts a stream into frames' bodies. */
export class FrameSplitter {
  #waiting: Buffer[] = [];
  #bytes = 0;

  /**
   * @returns the bodies that `chunk` completes
   * @throws {HandoverError} `too_large`
   */
  push(chunk: Uint8Array): readonly Uint8Array[] {
    this.#waiting.push(Buffer.from(chunk));
    this.#bytes += chunk.length;
    const bodies: Uint8Array[] = [];
    for (let body = this.#next(); body !== undefined; body = this.#next()) bodies.push(body);
    return bodies;
  }

  #next(): Uint8Array | undefined {
    if (this.#bytes < 4) return undefined;
    if ((this.#waiting[0]?.length ?? 0) < 4) this.#join();
    const length = this.#waiting[0]?.readUInt32LE(0) ?? 0;
    if (length > FRAME_BYTES_MAX)
      throw new HandoverError('too_large', `a frame of ${length} bytes`);
    if (this.#bytes < 4 + length) return undefined;
    this.#join();
    const [all] = this.#waiting;
    if (all === undefined) return undefined;
    this.#waiting = [all.subarray(4 + length)];
    this.#bytes -= 4 + length;
    return all.subarray(4, 4 + length);
  }

  /** Once a frame is whole, or for its length: joining at every chunk would be quadratic. */
  #join(): void {
    if (this.#waiting.length > 1) this.#waiting = [Buffer.concat(this.#waiting)];
  }
}
