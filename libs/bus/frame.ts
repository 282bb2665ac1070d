/**
 * The bus on the wire: header and frames of a message. Pure, bounded, no socket. docs/bus.md draws it.
 *
 * Note [Wire versions]
 * The first 24 bytes of a header mean the same in version N and N+1; a later version may append bytes to the header
 * frame and may use new kinds. A reader takes N and N+1, ignores what is appended, and drops (and counts) kinds and
 * versions it does not know. So a change of the format takes two releases, and mixed releases talk to each other.
 */
import { WireError } from './errors.ts';

const WIRE_VERSION = 1;
const HEADER_BYTES = 24;
/** [bytes] largest frame; libzmq closes the connection of who sends a larger one */
export const FRAME_BYTES_MAX = 16 * 1_024 * 1_024;
/** [frames] most attachments of one message */
export const ATTACHMENTS_MAX = 16;
/** [bytes] longest subject and key */
export const SUBJECT_BYTES_MAX = 255;

const MAGIC = 0x4d53; // 'S', 'M' read as little-endian u16.
/** A header with what a later version may append. */
const HEADER_BYTES_MAX = 256;

const KIND_CODES = {
  message: 1,
  beat: 2,
  request: 3,
  reply: 4,
  error: 5,
  hello: 6,
  welcome: 7,
} as const;
export type FrameKind = keyof typeof KIND_CODES;

const KINDS = new Map<number, FrameKind>(
  Object.entries(KIND_CODES).map(([kind, code]) => [code, kind as FrameKind]),
);

/** The frames of one ZeroMQ message, without a ROUTER's routing id. */
export type Frames = readonly Uint8Array[];

export interface FrameHeader {
  readonly kind: FrameKind;
  /** One life of the sending process: 16 hex digits. */
  readonly bootId: string;
  /** Publications: counts messages of one subject and key, from 1. RPC: the caller's correlation number. */
  readonly sequence: number;
  /** [ms] how long the caller waits; 0 outside RPC. */
  readonly timeoutMs: number;
}

export interface Publication {
  /** `name@version` */
  readonly subject: string;
  readonly key: string;
  readonly header: FrameHeader;
  readonly body: Uint8Array;
  readonly attachments: Frames;
}

export interface Request {
  readonly header: FrameHeader;
  readonly subject: string;
  readonly body: Uint8Array;
  readonly attachments: Frames;
}

export interface Reply {
  readonly header: FrameHeader;
  readonly body: Uint8Array;
  readonly attachments: Frames;
}

/**
 * Writes a header, little-endian.
 *
 * @throws {RangeError} if a field does not fit
 */
export function encodeHeader({ kind, bootId, sequence, timeoutMs }: FrameHeader): Uint8Array {
  if (!/^[0-9a-f]{16}$/.test(bootId)) throw new RangeError(`Cannot encode boot id "${bootId}"`);
  if (!Number.isSafeInteger(sequence) || sequence < 0) {
    throw new RangeError(`Cannot encode sequence ${sequence}: must be in 0..2^53-1`);
  }
  if (!Number.isInteger(timeoutMs) || timeoutMs < 0 || timeoutMs > 0xffff_ffff) {
    throw new RangeError(`Cannot encode timeout ${timeoutMs} ms: must be in 0..2^32-1`);
  }
  const bytes = Buffer.allocUnsafe(HEADER_BYTES); // Every byte is written below.
  bytes.writeUInt16LE(MAGIC, 0);
  bytes.writeUInt8(WIRE_VERSION, 2);
  bytes.writeUInt8(KIND_CODES[kind], 3);
  bytes.write(bootId, 4, 'hex');
  bytes.writeUInt32LE(sequence % 0x1_0000_0000, 12);
  bytes.writeUInt32LE(Math.floor(sequence / 0x1_0000_0000), 16);
  bytes.writeUInt32LE(timeoutMs, 20);
  return bytes;
}

/**
 * Reads a header. See Note [Wire versions].
 *
 * @throws {WireError} `truncated`, `too_large`, `bad_magic`, `unknown_version` or `unknown_kind`
 */
export function decodeHeader(frame: Uint8Array): FrameHeader {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  checkHeader(view);
  const code = view.getUint8(3);
  const kind = KINDS.get(code);
  if (kind === undefined) throw new WireError('unknown_kind', 3, `kind ${code}`);
  const high = view.getUint32(16, true);
  if (high > 0x1f_ffff) throw new WireError('too_large', 12, 'sequence is above 2^53-1');
  return {
    kind,
    bootId: bytesOf(frame).toString('hex', 4, 12),
    sequence: high * 0x1_0000_0000 + view.getUint32(12, true),
    timeoutMs: view.getUint32(20, true),
  };
}

function checkHeader(view: DataView): void {
  const { byteLength } = view;
  if (byteLength < HEADER_BYTES) {
    throw new WireError('truncated', byteLength, `header needs ${HEADER_BYTES} bytes`);
  }
  if (view.getUint16(0, true) !== MAGIC) throw new WireError('bad_magic', 0, 'not a Seam header');
  const version = view.getUint8(2);
  if (version !== WIRE_VERSION && version !== WIRE_VERSION + 1) {
    throw new WireError('unknown_version', 2, `version ${version}`);
  }
  const bytesMax = version === WIRE_VERSION ? HEADER_BYTES : HEADER_BYTES_MAX;
  if (byteLength > bytesMax) throw new WireError('too_large', bytesMax, `header of ${byteLength}`);
}

/** Frames of a publication: `name@version|key`, header, body, attachments. A beat has no body. */
export function encodePublication(
  subject: string,
  key: string,
  header: FrameHeader,
  body: Uint8Array | undefined,
  attachments: Frames = [],
): Frames {
  const topic = Buffer.from(`${subject}|${key}`, 'utf8');
  if (topic.length > SUBJECT_BYTES_MAX) {
    throw new RangeError(`Cannot publish "${subject}": its key has ${key.length} characters`);
  }
  const head = [topic, encodeHeader(header)];
  return body === undefined ? head : [...head, body, ...checkAttachments(attachments)];
}

/** @throws {WireError} for anything that {@link encodePublication} does not write */
export function decodePublication(frames: Frames): Publication {
  const [topic, head, body = EMPTY, ...attachments] = frames;
  if (topic === undefined || head === undefined) throw tooFew(frames, 2);
  const header = decodeHeader(head);
  const isMessage = header.kind === 'message';
  if (!isMessage && header.kind !== 'beat') throw wrongKind(header.kind, 'a publication');
  if (isMessage && frames.length < 3) throw tooFew(frames, 3);
  checkReceived(attachments);
  const text = subjectText(topic);
  const bar = text.indexOf('|');
  if (bar < 0) throw new WireError('bad_subject', 0, 'a topic ends with | and its key');
  return { subject: text.slice(0, bar), key: text.slice(bar + 1), header, body, attachments };
}

/** Frames of a request: header, `name@version`, body, attachments. */
export function encodeRequest(
  header: FrameHeader,
  subject: string,
  body: Uint8Array,
  attachments: Frames = [],
): Frames {
  return [
    encodeHeader(header),
    Buffer.from(subject, 'utf8'),
    body,
    ...checkAttachments(attachments),
  ];
}

/** Reads what follows the header of a request. @throws {WireError} `bad_frames`, `bad_subject` or `too_large` */
export function decodeRequest(header: FrameHeader, frames: Frames): Request {
  const [, subject, body, ...attachments] = frames;
  if (subject === undefined || body === undefined) throw tooFew(frames, 3);
  checkReceived(attachments);
  return { header, subject: subjectText(subject), body, attachments };
}

/** Frames of everything that is header and body: reply, error, hello, welcome. */
export function encodeReply(
  header: FrameHeader,
  body: Uint8Array,
  attachments: Frames = [],
): Frames {
  return [encodeHeader(header), body, ...checkAttachments(attachments)];
}

/** Reads what follows the header of a reply, error, hello or welcome. @throws {WireError} `bad_frames` or `too_large` */
export function decodeReply(header: FrameHeader, frames: Frames): Reply {
  const [, body, ...attachments] = frames;
  if (body === undefined) throw tooFew(frames, 2);
  checkReceived(attachments);
  return { header, body, attachments };
}

const EMPTY = new Uint8Array();
const utf8 = new TextDecoder('utf-8', { fatal: true });

/**
 * Writes a body.
 *
 * @throws {RangeError} if it is larger than {@link FRAME_BYTES_MAX}: libzmq would cut the connection at the receiver
 */
export function encodeBody(value: unknown): Uint8Array {
  const body = Buffer.from(JSON.stringify(value), 'utf8');
  if (body.length > FRAME_BYTES_MAX) {
    throw new RangeError(`Cannot send a body of ${body.length} bytes: at most ${FRAME_BYTES_MAX}`);
  }
  return body;
}

/** Reads a body as JSON, not yet checked against its schema. @throws {WireError} `bad_body` */
export function decodeBody(body: Uint8Array): unknown {
  try {
    return JSON.parse(utf8.decode(body));
  } catch (cause) {
    throw new WireError('bad_body', 0, 'not JSON', { cause });
  }
}

/** [bytes] of a whole message */
export function sizeOfFrames(frames: Frames): number {
  return frames.reduce((sum, frame) => sum + frame.byteLength, 0);
}

function subjectText(frame: Uint8Array): string {
  if (frame.length > SUBJECT_BYTES_MAX) {
    throw new WireError('bad_subject', SUBJECT_BYTES_MAX, `subject of ${frame.length} bytes`);
  }
  return bytesOf(frame).toString('utf8');
}

function checkAttachments(attachments: Frames): Frames {
  const isFit = attachments.every(({ byteLength }) => byteLength <= FRAME_BYTES_MAX);
  if (isFit && attachments.length <= ATTACHMENTS_MAX) return attachments;
  throw new RangeError(
    `Cannot attach ${attachments.length} frames: at most ${ATTACHMENTS_MAX} of ${FRAME_BYTES_MAX} bytes`,
  );
}

function checkReceived(attachments: Frames): void {
  if (attachments.length <= ATTACHMENTS_MAX) return;
  throw new WireError('bad_frames', 0, `${attachments.length} attachments`);
}

function tooFew(frames: Frames, need: number): WireError {
  return new WireError('bad_frames', 0, `need ${need} frames, have ${frames.length}`);
}

function wrongKind(kind: FrameKind, what: string): WireError {
  return new WireError('unknown_kind', 3, `${kind} is not ${what}`);
}

function bytesOf(frame: Uint8Array): Buffer {
  return Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength);
}
