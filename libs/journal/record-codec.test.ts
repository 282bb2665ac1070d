import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { assert, describe, expect, test } from 'vitest';
import { WireError } from '#libs/bitcoin/errors.ts';
import { anyRecord, candidate, oneOfEachKind, share } from './record.fixture.ts';
import { decodeRecords, encodeRecord, FRAME_HEAD_BYTES } from './record-codec.ts';

const GOLDEN = join(import.meta.dirname, '../../test/golden/journal/records-v1.hex');

/** A frame around any payload, with the right checksum. */
function framed(payload: Uint8Array): Buffer {
  const head = Buffer.alloc(FRAME_HEAD_BYTES);
  head.writeUInt32LE(payload.length, 0);
  head.writeUInt32LE(crc32(payload), 4);
  return Buffer.concat([head, payload]);
}

function payloadOf(frame: Uint8Array): Buffer {
  return Buffer.from(frame.subarray(FRAME_HEAD_BYTES));
}

function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    assert(error instanceof WireError, `must be a WireError: it is ${String(error)}`);
    return error.code;
  }
  return 'none';
}

describe('the record codec', () => {
  test('writes version 1 as committed, one line a record', () => {
    const lines = readFileSync(GOLDEN, 'utf8').trim().split('\n');
    const written = oneOfEachKind().map((record) =>
      Buffer.from(encodeRecord(record)).toString('hex'),
    );
    assert.deepEqual(written, lines);
  });

  test('reads version 1 as committed', () => {
    const lines = readFileSync(GOLDEN, 'utf8').trim().split('\n');
    assert.deepEqual(decodeRecords(Buffer.from(lines.join(''), 'hex')), oneOfEachKind());
  });

  test('reads back whatever it wrote', () => {
    fc.assert(
      fc.property(fc.array(anyRecord, { maxLength: 8 }), (records) => {
        assert.deepEqual(decodeRecords(Buffer.concat(records.map(encodeRecord))), records);
      }),
    );
  });

  test('reads every truncation of a batch as its whole records, or refuses', () => {
    fc.assert(
      fc.property(
        fc.array(anyRecord, { minLength: 1, maxLength: 3 }),
        fc.nat(),
        (records, seed) => {
          const frames = records.map(encodeRecord);
          const packed = Buffer.concat(frames);
          const cut = packed.subarray(0, seed % packed.length);
          let offset = 0;
          const whole = frames.filter((frame) => (offset += frame.length) <= cut.length);
          const wholeBytes = whole.reduce((sum, frame) => sum + frame.length, 0);
          if (wholeBytes === cut.length)
            assert.deepEqual(decodeRecords(cut), records.slice(0, whole.length));
          else
            assert.equal(
              codeOf(() => decodeRecords(cut)),
              'truncated',
            );
        },
      ),
    );
  });

  test('refuses every truncation of a payload, even with a right checksum', () => {
    for (const record of oneOfEachKind()) {
      const payload = payloadOf(encodeRecord(record));
      for (let size = 2; size < payload.length; size += 1)
        assert.equal(
          codeOf(() => decodeRecords(framed(payload.subarray(0, size)))),
          'truncated',
        );
    }
  });

  test('never throws anything but a WireError on hostile payloads', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 2, maxLength: 200 }),
        fc.integer({ min: 1, max: 4 }),
        (bytes, tag) => {
          bytes[0] = 1;
          bytes[1] = tag;
          codeOf(() => decodeRecords(framed(bytes)));
        },
      ),
    );
  });

  test('refuses one flipped bit anywhere', () => {
    const frame = Buffer.from(encodeRecord(share()));
    for (let bit = 0; bit < frame.length * 8; bit += 1) {
      const flipped = Buffer.from(frame);
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      assert.notEqual(
        codeOf(() => decodeRecords(flipped)),
        'none',
        `bit ${bit}`,
      );
    }
  });

  test('does not take zeros for records', () => {
    assert.equal(
      codeOf(() => decodeRecords(Buffer.alloc(64))),
      'too_small',
    );
  });

  test('skips kinds it does not know', () => {
    assert.deepEqual(decodeRecords(framed(Uint8Array.of(1, 99, 5, 6))), [
      { kind: 'unknown', tag: 99 },
    ]);
  });

  test('takes the fields it knows of a later version, and none too many of its own', () => {
    const payload = payloadOf(encodeRecord(share()));
    const appended = Buffer.concat([payload, Uint8Array.of(7, 7)]);
    assert.equal(
      codeOf(() => decodeRecords(framed(appended))),
      'trailing',
    );
    appended[0] = 2;
    assert.deepEqual(decodeRecords(framed(appended)), [share()]);
  });

  test('refuses version 0, negative difficulties, unknown outcomes and text that is not UTF-8', () => {
    const version0 = payloadOf(encodeRecord(share()));
    version0[0] = 0;
    const negative = payloadOf(encodeRecord(share()));
    negative.writeDoubleLE(-1, 8 + 4 + 1 + 16);
    const badText = payloadOf(encodeRecord(share()));
    badText[badText.length - 1] = 0xff;
    for (const payload of [version0, negative, badText])
      assert.equal(
        codeOf(() => decodeRecords(framed(payload))),
        'bad_value',
      );
  });

  test('refuses more records than the caller takes', () => {
    const packed = Buffer.concat([encodeRecord(share()), encodeRecord(share())]);
    assert.equal(
      codeOf(() => decodeRecords(packed, 1)),
      'too_large',
    );
  });

  test('does not write what does not fit', () => {
    expect(() => encodeRecord(share({ worker: 'w'.repeat(192) }))).toThrow(RangeError);
    expect(() => encodeRecord(share({ work: 1n << 128n }))).toThrow(RangeError);
    expect(() => encodeRecord(share({ identity: new Uint8Array(31) }))).toThrow(RangeError);
    expect(() => encodeRecord(share({ difficulty: Number.NaN }))).toThrow(RangeError);
    expect(() => encodeRecord(candidate({ hash: 'ab' }))).toThrow(RangeError);
    expect(() => encodeRecord(candidate({ submission: 'x'.repeat(1_000_001) }))).toThrow(
      RangeError,
    );
  });
});
