/** Link messages for tests: arbitrary ones, and the samples behind the golden files. */
import fc from 'fast-check';
import type { DownItem, LinkMessage, UpItem } from './items.ts';
import { MARKS_MAX } from './limits.ts';

const uint32 = fc.nat(0xffff_ffff);
const uint48 = fc.nat(2 ** 48 - 1);
const uint64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const text = fc
  .string({ maxLength: 60, unit: 'grapheme' })
  .filter((value) => Buffer.byteLength(value) <= 255 && value.isWellFormed());
const bytes = fc.uint8Array({ maxLength: 300 });
const mark = fc.uint8Array({ maxLength: 16 });
const ref = { handle: uint32, opening: uint32 };
const kind = <K extends string>(value: K) => fc.constant(value);

export const upItem: fc.Arbitrary<UpItem> = fc.oneof(
  fc.record({
    ...ref,
    kind: kind('open'),
    conn: text,
    peerAddress: text,
    peerPort: fc.nat(65_535),
    listener: text,
    tls: text,
    ageMs: uint48,
    capsule: bytes,
    marks: fc.array(mark, { maxLength: MARKS_MAX }),
    nextSeq: uint48,
  }),
  fc.record({ ...ref, kind: kind('line'), seq: uint48, ageMs: uint32, bytes }),
  fc.record({ ...ref, kind: kind('close'), reason: text }),
);

export const downItem: fc.Arbitrary<DownItem> = fc.oneof(
  fc.record({ ...ref, kind: kind('write'), bytes, mark }),
  fc.record({ ...ref, kind: kind('ack'), seq: uint48 }),
  fc.record({
    ...ref,
    kind: kind('capsule'),
    change: fc.constantFrom('set' as const, 'append' as const),
    bytes,
  }),
  fc.record({ ...ref, kind: fc.constantFrom('join' as const, 'leave' as const), group: uint32 }),
  fc.record({
    kind: kind('cast'),
    group: uint32,
    bytes,
    mark,
    replaces: fc.constantFrom('refresh' as const, 'all' as const),
  }),
  fc.record({ ...ref, kind: kind('idle'), afterMs: uint32, bytes }),
  fc.record({ ...ref, kind: kind('close'), reason: text }),
  fc.record({ ...ref, kind: kind('release') }),
  fc.record({ kind: kind('listen'), listener: text, isUp: fc.boolean() }),
);

export const linkMessage: fc.Arbitrary<LinkMessage> = fc.oneof(
  fc.record({
    kind: kind('hello'),
    session: uint64,
    frontendId: text,
    bootId: uint64,
    versions: fc.array(fc.nat(255), { maxLength: 255 }),
  }),
  fc.record({
    kind: kind('welcome'),
    session: uint64,
    serverId: text,
    bootId: uint64,
    version: fc.nat(255),
  }),
  fc.record({
    kind: kind('up'),
    session: uint64,
    counter: uint48,
    items: fc.array(upItem, { maxLength: 8 }),
  }),
  fc.record({
    kind: kind('down'),
    session: uint64,
    counter: uint48,
    items: fc.array(downItem, { maxLength: 8 }),
  }),
  fc.record({
    kind: kind('heartbeat'),
    session: uint64,
    sent: uint48,
    received: uint48,
    load: uint32,
    accepts: fc.boolean(),
  }),
  fc.record({ kind: kind('bye'), session: uint64, reason: text }),
);

const SESSION = 0x1122_3344_5566_7788n;
const BOOT = 0xa1b2_c3d4_e5f6_0718n;
const REF = { handle: 0x0102_0304, opening: 5 };
const utf8 = (value: string) => Buffer.from(value);

/** One message of each kind with every kind of item in it, by the name of its golden file. */
export const SAMPLES: Readonly<Record<string, LinkMessage>> = {
  hello: {
    kind: 'hello',
    session: SESSION,
    frontendId: 'socket-frontend-1',
    bootId: BOOT,
    versions: [1, 2],
  },
  welcome: {
    kind: 'welcome',
    session: SESSION,
    serverId: 'stratum-server-2',
    bootId: BOOT,
    version: 1,
  },
  up: {
    kind: 'up',
    session: SESSION,
    counter: 0x0a0b_0c0d_0e0f,
    items: [
      {
        ...REF,
        kind: 'open',
        conn: 'edge-1-CB007107:C822_0A000002:0D05_65F0C3A1_0001:4D2',
        peerAddress: '203.0.113.7',
        peerPort: 51_234,
        listener: 'low',
        tls: 'TLSv1.3',
        ageMs: 3_600_000,
        capsule: Uint8Array.from([1, 2, 3, 0xff]),
        marks: [utf8('0123456789abcdef'), Uint8Array.from([7])],
        nextSeq: 42,
      },
      {
        ...REF,
        kind: 'line',
        seq: 42,
        ageMs: 125,
        bytes: utf8('{"id":4,"method":"mining.submit","params":[]}'),
      },
      { ...REF, kind: 'close', reason: 'peer' },
    ],
  },
  down: {
    kind: 'down',
    session: SESSION,
    counter: 7,
    items: [
      {
        ...REF,
        kind: 'write',
        bytes: utf8('{"id":4,"result":true,"error":null}\n'),
        mark: utf8('0123456789abcdef'),
      },
      { ...REF, kind: 'ack', seq: 42 },
      { ...REF, kind: 'capsule', change: 'set', bytes: Uint8Array.from([1, 0]) },
      { ...REF, kind: 'capsule', change: 'append', bytes: Uint8Array.from([9, 8, 7]) },
      { ...REF, kind: 'join', group: 17 },
      { ...REF, kind: 'leave', group: 16 },
      {
        kind: 'cast',
        group: 17,
        bytes: utf8('{"method":"mining.notify"}\n'),
        mark: utf8('0123456789abcdef'),
        replaces: 'refresh',
      },
      {
        kind: 'cast',
        group: 17,
        bytes: utf8('{"method":"mining.notify"}\n'),
        mark: utf8('fedcba9876543210'),
        replaces: 'all',
      },
      { ...REF, kind: 'idle', afterMs: 25_000, bytes: utf8('{"id":null}\n') },
      { ...REF, kind: 'close', reason: 'banned' },
      { ...REF, kind: 'release' },
      { kind: 'listen', listener: 'low', isUp: true },
      { kind: 'listen', listener: 'tls', isUp: false },
    ],
  },
  heartbeat: {
    kind: 'heartbeat',
    session: SESSION,
    sent: 3,
    received: 4,
    load: 5_000,
    accepts: true,
  },
  bye: { kind: 'bye', session: SESSION, reason: 'closed' },
};
