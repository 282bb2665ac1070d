import { readdirSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import fc from 'fast-check';
import { expect, suite, test } from 'vitest';
import { LinkError, type LinkErrorCode } from './errors.ts';
import type { LinkMessage } from './items.ts';
import { CAPSULE_BYTES_MAX, MARK_BYTES_MAX, MARKS_MAX } from './limits.ts';
import { decodeLinkMessage, encodeLinkMessage, itemBytesOf } from './link-codec.ts';
import { linkMessage, SAMPLES, upItem, downItem } from './link-message.fixture.ts';

const GOLDEN = resolve(import.meta.dirname, '../../test/golden/link');

function codeOf(act: () => unknown): LinkErrorCode | undefined {
  try {
    act();
    return undefined;
  } catch (error) {
    if (error instanceof LinkError) return error.code;
    throw error;
  }
}

suite('decodeLinkMessage()', () => {
  test('gives back what encodeLinkMessage() took', () => {
    fc.assert(
      fc.property(linkMessage, (message) => {
        expect(plain(decodeLinkMessage(encodeLinkMessage(message)))).toEqual(plain(message));
      }),
    );
  });

  test('refuses every truncation, and never reads past the end', () => {
    fc.assert(
      fc.property(
        linkMessage,
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        (message, part) => {
          const whole = encodeLinkMessage(message);
          const cut = Math.floor(whole.length * part);
          const guarded = Buffer.concat([whole.subarray(0, cut), Buffer.alloc(64, 0xff)]);
          expect(codeOf(() => decodeLinkMessage(guarded.subarray(0, cut)))).toBe('truncated');
        },
      ),
    );
  });

  test('refuses what follows the end', () => {
    fc.assert(
      fc.property(linkMessage, (message) => {
        const bytes = Buffer.concat([encodeLinkMessage(message), Buffer.of(0)]);
        expect(codeOf(() => decodeLinkMessage(bytes))).toBe('trailing');
      }),
    );
  });

  test('throws nothing but a LinkError, whatever the bytes', () => {
    const damaged = fc.tuple(
      linkMessage,
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }),
    );
    fc.assert(
      fc.property(damaged, ([message, hits]) => {
        const bytes = encodeLinkMessage(message);
        for (const [at, value] of hits) bytes[at % bytes.length] = value;
        codeOf(() => decodeLinkMessage(bytes));
      }),
    );
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 200 }),
        (bytes) => void codeOf(() => decodeLinkMessage(bytes)),
      ),
    );
  });

  const head = (version: number, kind: number) =>
    Buffer.from([0x53, 0x4c, version, kind, 1, 0, 0, 0, 0, 0, 0, 0]);
  const items = (...parts: Buffer[]) =>
    Buffer.concat([
      Buffer.from([1, 0, 0, 0, 0, 0]),
      Buffer.from([parts.length, 0, 0, 0]),
      ...parts,
    ]);
  const unknownItem = Buffer.from([99, 3, 0, 0, 0, 1, 2, 3]);
  /** A `join` with two bytes that a later version appended. */
  const longJoin = Buffer.from([20, 14, 0, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0, 5, 0, 0, 0, 0xaa, 0xbb]);

  const join = Buffer.from([20, 12, 0, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0, 5, 0, 0, 0]);

  test.each([
    ['an empty message', Buffer.alloc(0), 'truncated'],
    ['other magic', Buffer.from('GET / HTTP/1.1\r\n\r\n'), 'bad_magic'],
    ['version 0', head(0, 6), 'unsupported_version'],
    ['version 3', head(3, 6), 'unsupported_version'],
    ['an unknown kind', head(1, 77), 'unknown_kind'],
    [
      'an unknown item in our own version',
      Buffer.concat([head(1, 4), items(unknownItem)]),
      'unknown_item',
    ],
    ['a longer item in our own version', Buffer.concat([head(1, 4), items(longJoin)]), 'trailing'],
    ['an item of the other direction', Buffer.concat([head(1, 3), items(join)]), 'unknown_item'],
    ['a flag of 2', Buffer.concat([head(1, 5), Buffer.alloc(16), Buffer.of(2)]), 'bad_value'],
    [
      'too many items',
      Buffer.concat([head(1, 4), Buffer.alloc(6), Buffer.alloc(4, 0xff)]),
      'too_large',
    ],
  ] as const)('refuses %s', (_what, bytes, code) => {
    expect(codeOf(() => decodeLinkMessage(bytes))).toBe(code);
  });

  test('refuses a capsule, a mark and marks above their bounds', () => {
    const base = { handle: 1, opening: 1 };
    const down = (item: object) =>
      ({
        kind: 'down',
        session: 1n,
        counter: 1,
        items: [{ ...base, ...item }],
      }) as unknown as LinkMessage;
    const capsule = down({
      kind: 'capsule',
      change: 'set',
      bytes: new Uint8Array(CAPSULE_BYTES_MAX + 1),
    });
    const mark = down({
      kind: 'write',
      bytes: new Uint8Array(1),
      mark: new Uint8Array(MARK_BYTES_MAX + 1),
    });
    for (const message of [capsule, mark, openWithMarks(MARKS_MAX + 1)]) {
      expect(codeOf(() => decodeLinkMessage(encodeLinkMessage(message)))).toBe('too_large');
    }
    expect(codeOf(() => decodeLinkMessage(encodeLinkMessage(openWithMarks(MARKS_MAX))))).toBe(
      undefined,
    );
  });

  function openWithMarks(count: number): LinkMessage {
    const up = SAMPLES['up'];
    const open = up?.kind === 'up' ? up.items[0] : undefined;
    if (open?.kind !== 'open') throw new Error('Cannot find an open');
    const marks = Array.from({ length: count }, () => Buffer.of(1));
    return { kind: 'up', session: 1n, counter: 1, items: [{ ...open, marks }] };
  }

  test('skips what version 2 added', () => {
    const bytes = Buffer.concat([
      head(2, 4),
      items(unknownItem, longJoin),
      Buffer.from('appended'),
    ]);
    expect(decodeLinkMessage(bytes)).toEqual({
      kind: 'down',
      session: 1n,
      counter: 1,
      items: [{ kind: 'join', handle: 7, opening: 1, group: 5 }],
    });
  });
});

test('itemBytesOf() is what an item adds to a message', () => {
  fc.assert(
    fc.property(fc.oneof(upItem, downItem), (item) => {
      const kind = ['open', 'line'].includes(item.kind) ? 'up' : 'down';
      const empty = { kind, session: 1n, counter: 1, items: [] } as LinkMessage;
      const one = { kind, session: 1n, counter: 1, items: [item] } as unknown as LinkMessage;
      expect(encodeLinkMessage(one).length - encodeLinkMessage(empty).length).toBe(
        itemBytesOf(item),
      );
    }),
  );
});

suite('golden files', () => {
  for (const [name, message] of Object.entries(SAMPLES)) {
    test(`${name}.hex is what version 1 writes, and reads`, async () => {
      const hex = encodeLinkMessage(message)
        .toString('hex')
        .replaceAll(/(.{64})/g, '$1\n');
      await expect(`${hex.trimEnd()}\n`).toMatchFileSnapshot(resolve(GOLDEN, `${name}.hex`));
      const stored = Buffer.from(
        readFileSync(resolve(GOLDEN, `${name}.hex`), 'utf8').replaceAll('\n', ''),
        'hex',
      );
      expect(plain(decodeLinkMessage(stored))).toEqual(plain(message));
    });
  }
  test('there is no other file', () => {
    expect(readdirSync(GOLDEN).sort()).toEqual(
      Object.keys(SAMPLES)
        .map((name) => `${name}.hex`)
        .sort(),
    );
  });
});

/** Buffers and Uint8Arrays as hex: equal whatever their class. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, plain(part)]));
}
