import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import fc from 'fast-check';
import { expect, suite, test } from 'vitest';
import { createConnection } from './connection.ts';
import { FieldWriter, HandoverError } from './handover-bytes.ts';
import {
  decodeMessage,
  encodeMessage,
  FrameSplitter,
  type HandoverMessage,
} from './handover-message.ts';
import { decodeState, encodeState } from './handover-state.ts';
import type { Connection } from './model.ts';
import { factsOf, LIMITS } from './world.fixture.ts';

const GOLDEN = resolve(import.meta.dirname, '../../../test/golden/handover');
const NOW_MS = 100_000;

const utf8 = (text: string) => Buffer.from(text);

function traveller(change: Partial<Connection> = {}): Connection {
  const connection = createConnection({ ...factsOf(7, 40_000), tls: 'TLSv1.3' }, LIMITS);
  connection.phase = 'live';
  connection.opening = 3;
  connection.nextSeq = 12;
  connection.unacknowledged = [
    { seq: 10, arrivedMs: 99_900, bytes: utf8('{"id":10}'), wasSent: true },
    { seq: 11, arrivedMs: 99_990, bytes: utf8('{"id":11}'), wasSent: false },
  ];
  connection.unacknowledgedBytes = 18;
  connection.input.push(utf8('{"id":12'));
  connection.input.take(4);
  connection.capsule.set(utf8('capsule'));
  connection.marks = [utf8('job1'), utf8('job2')];
  connection.idle = { afterMs: 30_000, bytes: utf8('\n') };
  connection.wroteMs = 98_000;
  connection.heldSinceMs = 99_500;
  return Object.assign(connection, change);
}

/** All but the handle, which is the taker's. */
function plain(connection: Connection): unknown {
  const { facts, input, capsule, unacknowledged, marks, idle, ...rest } = connection;
  const { allowance: _, outbox: __, isReading: ___, ...course } = rest;
  return {
    ...course,
    facts: { ...facts, handle: 0 },
    input: Buffer.from(input.rest).toString(),
    capsule: Buffer.from(capsule.bytes).toString(),
    lines: unacknowledged.map((line) => ({ ...line, bytes: Buffer.from(line.bytes).toString() })),
    marks: marks.map((mark) => Buffer.from(mark).toString()),
    idle: idle && { ...idle, bytes: Buffer.from(idle.bytes).toString() },
  };
}

const MESSAGES: readonly HandoverMessage[] = [
  { kind: 'hello', giver: '00aa-1', versions: [1, 2] },
  { kind: 'welcome', taker: 'socket-frontend-2', version: 1, room: 900, connections: 100 },
  { kind: 'offer', slice: 5, count: 250 },
  { kind: 'accepted', slice: 5 },
  { kind: 'refused', slice: 5 },
  { kind: 'held', slice: 5 },
  { kind: 'go', slice: 5, states: [{ index: 249, state: utf8('state') }] },
  { kind: 'started', slice: 5 },
  { kind: 'ask', giver: '00aa-1', slice: 5 },
  { kind: 'verdict', slice: 5, isStarted: true },
];

const bodyOf = (message: HandoverMessage) => encodeMessage(message).subarray(4);

suite('the state of a connection', () => {
  test('comes out as it went in, by another clock', () => {
    const bytes = encodeState(traveller(), NOW_MS);
    expect(plain(decodeState(bytes, 1, LIMITS, NOW_MS))).toEqual(plain(traveller()));
    const later = decodeState(bytes, 1, LIMITS, NOW_MS + 5_000);
    expect(later.facts.acceptedMs).toBe(45_000);
    expect(later.facts.handle).toBe(1);
  });

  test('half a line goes on where it was', () => {
    const { input } = decodeState(encodeState(traveller(), NOW_MS), 1, LIMITS, NOW_MS);
    input.push(utf8('}\n'));
    expect(input.take(4).lines.map((line) => Buffer.from(line).toString())).toEqual(['{"id":12}']);
  });

  test('the golden file is read, and written as it is', () => {
    const hex = readFileSync(resolve(GOLDEN, 'state.v1.hex'), 'utf8').replaceAll(/\s/g, '');
    expect(encodeState(traveller(), NOW_MS).toString('hex')).toBe(hex);
    const read = decodeState(Buffer.from(hex, 'hex'), 7, LIMITS, NOW_MS);
    expect(plain(read)).toEqual(plain(traveller()));
  });

  test('cut anywhere it is refused, or lacks a whole record that has a default', () => {
    const bytes = encodeState(traveller(), NOW_MS);
    fc.assert(
      fc.property(fc.integer({ min: 0, max: bytes.length - 1 }), (length) => {
        try {
          decodeState(bytes.subarray(0, length), 1, LIMITS, NOW_MS);
        } catch (error) {
          expect(error).toBeInstanceOf(HandoverError);
        }
      }),
    );
  });

  test('any bytes are refused or read, never anything else', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          decodeState(Uint8Array.from([1, ...bytes]), 1, LIMITS, NOW_MS);
        } catch (error) {
          expect(error).toBeInstanceOf(HandoverError);
        }
      }),
    );
  });

  test('a record of the next version is skipped if it may be, and refused if not', () => {
    const bytes = encodeState(traveller(), NOW_MS);
    const withRecord = (tag: number) =>
      Buffer.concat([bytes, new FieldWriter().u8(tag).text('new').finish()]);
    expect(plain(decodeState(withRecord(0x7f), 1, LIMITS, NOW_MS))).toEqual(plain(traveller()));
    expect(() => decodeState(withRecord(0xff), 1, LIMITS, NOW_MS)).toThrow(HandoverError);
    bytes[0] = 2;
    expect(() => decodeState(bytes, 1, LIMITS, NOW_MS)).toThrow(/version 2/);
  });

  test('a connection that is closing stays', () => {
    expect(() => encodeState(traveller({ phase: 'closing' }), NOW_MS)).toThrow(RangeError);
  });
});

suite('messages', () => {
  test.each(MESSAGES.map((message) => [message.kind, message] as const))(
    '%s comes out as it went in',
    (_kind, message) => {
      expect(decodeMessage(bodyOf(message))).toEqual(message);
    },
  );

  test('the golden file is read, and written as it is', () => {
    const lines = readFileSync(resolve(GOLDEN, 'messages.v1.hex'), 'utf8').trim().split('\n');
    expect(MESSAGES.map((message) => encodeMessage(message).toString('hex'))).toEqual(lines);
  });

  test('cut anywhere they are refused', () => {
    for (const message of MESSAGES) {
      const body = bodyOf(message);
      for (let length = 0; length < body.length; length += 1)
        expect(() => decodeMessage(body.subarray(0, length))).toThrow(HandoverError);
    }
  });

  test('kinds and fields of a later version are skipped', () => {
    expect(decodeMessage(utf8('\u007fnew'))).toBeUndefined();
    const longer = Buffer.concat([bodyOf({ kind: 'held', slice: 1 }), utf8('new')]);
    expect(decodeMessage(longer)).toEqual({ kind: 'held', slice: 1 });
  });

  test('frames come out of any chunks', () => {
    const stream = Buffer.concat(MESSAGES.map((message) => encodeMessage(message)));
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 40 }), { maxLength: 40 }), (sizes) => {
        const splitter = new FrameSplitter();
        const seen: unknown[] = [];
        let at = 0;
        for (const size of [...sizes, stream.length]) {
          for (const body of splitter.push(stream.subarray(at, at + size)))
            seen.push(decodeMessage(body));
          at = Math.min(stream.length, at + size);
        }
        expect(seen).toEqual(MESSAGES);
      }),
    );
  });

  test('a frame that claims too much is refused before it is kept', () => {
    expect(() => new FrameSplitter().push(utf8('\u007f\u007f\u007f\u007f'))).toThrow(HandoverError);
  });
});
