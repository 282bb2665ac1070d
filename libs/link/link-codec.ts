/**
 * Packs and unpacks link messages. Little-endian, versioned, every count and length bounded. No socket.
 * Layouts: docs/link.md; golden files: test/golden/link/.
 */
import { ByteReader } from './byte-reader.ts';
import { ByteWriter } from './byte-writer.ts';
import { LinkError } from './errors.ts';
import {
  downItemBytes,
  ITEM_HEAD_BYTES,
  readDownItem,
  readUpItem,
  textBytes,
  upItemBytes,
  writeDownItem,
  writeText,
  writeUpItem,
} from './item-codec.ts';
import type { DownItem, LinkMessage, UpItem } from './items.ts';
import { ITEMS_MAX, MESSAGE_BYTES_MAX } from './limits.ts';

/** What this program writes. It reads this version and the next one. */
const LINK_VERSION = 1;
/** Versions this program speaks, for `hello`. */
export const LINK_VERSIONS: readonly number[] = [LINK_VERSION];

const MAGIC = 0x4c53; // 'S', 'L'
const KINDS = { hello: 1, welcome: 2, up: 3, down: 4, heartbeat: 5, bye: 6 } as const;
/** [bytes] magic, version, kind, session */
const HEAD_BYTES = 12;
/** [bytes] counter and number of items */
const ITEMS_HEAD_BYTES = 10;

/**
 * Packs a message into a fresh buffer.
 *
 * @throws {RangeError} if a field is out of its range: our bug
 */
export function encodeLinkMessage(message: LinkMessage): Buffer {
  switch (message.kind) {
    case 'up':
      return encodeItems(message, upItemBytes, writeUpItem);
    case 'down':
      return encodeItems(message, downItemBytes, writeDownItem);
    case 'hello':
      return encodeHello(message);
    case 'welcome':
      return encodeWelcome(message);
    case 'heartbeat':
      return encodeHeartbeat(message);
    case 'bye':
      return encodeBye(message);
  }
}

/** [bytes] an item takes in a message */
export function itemBytesOf(item: UpItem | DownItem): number {
  // `close` is the only kind both directions have, and it packs alike.
  const isUp = item.kind === 'open' || item.kind === 'line';
  return ITEM_HEAD_BYTES + (isUp ? upItemBytes(item) : downItemBytes(item));
}

/**
 * Unpacks a message. Byte fields are views of `bytes`, not copies.
 *
 * @throws {LinkError} unless it is exactly one message of version 1, or of version 2 (of which unknown items are
 *   skipped and fields added at the end of a body ignored)
 */
export function decodeLinkMessage(bytes: Uint8Array): LinkMessage {
  if (bytes.length > MESSAGE_BYTES_MAX) {
    throw new LinkError(
      'too_large',
      0,
      `must be <= ${MESSAGE_BYTES_MAX} bytes: it is ${bytes.length}`,
    );
  }
  const reader = new ByteReader(asBuffer(bytes));
  if (reader.u16() !== MAGIC) throw new LinkError('bad_magic', 0, 'not a link message');
  const version = reader.u8();
  if (version < LINK_VERSION || version > LINK_VERSION + 1) {
    throw new LinkError('unsupported_version', 2, `version ${version}`);
  }
  const isNewer = version > LINK_VERSION;
  const message = readBody(reader.u8(), reader.u64(), reader, isNewer);
  if (!isNewer) reader.expectEnd();
  return message;
}

function readBody(
  kind: number,
  session: bigint,
  reader: ByteReader,
  isNewer: boolean,
): LinkMessage {
  switch (kind) {
    case KINDS.up:
      return {
        kind: 'up',
        session,
        counter: reader.u48(),
        items: readItems(reader, isNewer, readUpItem),
      };
    case KINDS.down:
      return {
        kind: 'down',
        session,
        counter: reader.u48(),
        items: readItems(reader, isNewer, readDownItem),
      };
    case KINDS.heartbeat:
      return readHeartbeat(session, reader);
    case KINDS.hello:
      return readHello(session, reader);
    case KINDS.welcome:
      return {
        kind: 'welcome',
        session,
        serverId: reader.text(),
        bootId: reader.u64(),
        version: reader.u8(),
      };
    case KINDS.bye:
      return { kind: 'bye', session, reason: reader.text() };
    default:
      throw new LinkError('unknown_kind', 3, `kind ${kind}`);
  }
}

function readItems<I>(
  reader: ByteReader,
  isNewer: boolean,
  read: (type: number, body: ByteReader) => I | undefined,
): readonly I[] {
  const at = reader.offset;
  const count = reader.u32();
  if (count > ITEMS_MAX)
    throw new LinkError('too_large', at, `must be <= ${ITEMS_MAX} items: it is ${count}`);
  const items: I[] = [];
  for (let index = 0; index < count; index += 1) {
    const item = readItem(reader, isNewer, read);
    if (item !== undefined) items.push(item);
  }
  return items;
}

function readItem<I>(
  reader: ByteReader,
  isNewer: boolean,
  read: (type: number, body: ByteReader) => I | undefined,
): I | undefined {
  const at = reader.offset;
  const type = reader.u8();
  const body = reader.slice(reader.u32());
  const item = read(type, body);
  if (isNewer) return item;
  if (item === undefined) throw new LinkError('unknown_item', at, `type ${type}`);
  body.expectEnd();
  return item;
}

function readHello(session: bigint, reader: ByteReader): LinkMessage {
  const versions = Array.from({ length: reader.u8() }, () => reader.u8());
  return { kind: 'hello', session, versions, frontendId: reader.text(), bootId: reader.u64() };
}

function readHeartbeat(session: bigint, reader: ByteReader): LinkMessage {
  const [sent, received, load] = [reader.u48(), reader.u48(), reader.u32()];
  return { kind: 'heartbeat', session, sent, received, load, accepts: reader.flag() };
}

function encodeItems<I>(
  message: {
    readonly kind: 'up' | 'down';
    readonly session: bigint;
    readonly counter: number;
    readonly items: readonly I[];
  },
  bytesOf: (item: I) => number,
  write: (out: ByteWriter, item: I, bytes: number) => void,
): Buffer {
  const { items } = message;
  const sizes = items.map(bytesOf);
  const total = sizes.reduce(
    (sum, size) => sum + ITEM_HEAD_BYTES + size,
    HEAD_BYTES + ITEMS_HEAD_BYTES,
  );
  const out = startMessage(message, total);
  out.u48(message.counter);
  out.u32(items.length);
  for (const [index, item] of items.entries()) write(out, item, sizes[index] ?? 0);
  return out.finish();
}

function encodeHello(message: LinkMessage & { kind: 'hello' }): Buffer {
  const { versions, frontendId, bootId } = message;
  const out = startMessage(message, HEAD_BYTES + 1 + versions.length + textBytes(frontendId) + 8);
  out.u8(versions.length);
  for (const version of versions) out.u8(version);
  writeText(out, frontendId);
  out.u64(bootId);
  return out.finish();
}

function encodeWelcome(message: LinkMessage & { kind: 'welcome' }): Buffer {
  const out = startMessage(message, HEAD_BYTES + textBytes(message.serverId) + 8 + 1);
  writeText(out, message.serverId);
  out.u64(message.bootId);
  out.u8(message.version);
  return out.finish();
}

function encodeHeartbeat(message: LinkMessage & { kind: 'heartbeat' }): Buffer {
  const out = startMessage(message, HEAD_BYTES + 6 + 6 + 4 + 1);
  out.u48(message.sent);
  out.u48(message.received);
  out.u32(message.load);
  out.u8(message.accepts ? 1 : 0);
  return out.finish();
}

function encodeBye(message: LinkMessage & { kind: 'bye' }): Buffer {
  const out = startMessage(message, HEAD_BYTES + textBytes(message.reason));
  writeText(out, message.reason);
  return out.finish();
}

function startMessage(message: Pick<LinkMessage, 'kind' | 'session'>, size: number): ByteWriter {
  const out = new ByteWriter(size);
  out.u16(MAGIC);
  out.u8(LINK_VERSION);
  out.u8(KINDS[message.kind]);
  out.u64(message.session);
  return out;
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes)
    ? bytes
    : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
