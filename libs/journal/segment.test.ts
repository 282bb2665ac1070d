import { mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { assert, describe, expect, test } from 'vitest';
import { WireError } from '#libs/bitcoin/errors.ts';
import { JournalError } from './errors.ts';
import { candidate, share } from './record.fixture.ts';
import { encodeRecord } from './record-codec.ts';
import {
  decodeSegmentHeader,
  encodeSegmentHeader,
  isOtherFormat,
  parseSegmentName,
  SEGMENT_HEADER_BYTES,
  segmentName,
  walkFrames,
} from './segment.ts';

const GOLDEN = join(import.meta.dirname, '../../test/golden/journal/segment-header-v1.hex');
const HEADER = {
  journalId: '000102030405060708090a0b0c0d0e0f',
  chain: 'ltc-regtest',
  firstIndex: 123_456,
  createdMs: 1_700_000_000_123,
};

describe('the segment header', () => {
  test('is written and read as committed', () => {
    const golden = readFileSync(GOLDEN, 'utf8').trim();
    assert.equal(Buffer.from(encodeSegmentHeader(HEADER)).toString('hex'), golden);
    assert.deepEqual(decodeSegmentHeader(Buffer.from(golden, 'hex')), HEADER);
  });

  test('is refused when cut anywhere or changed anywhere', () => {
    const bytes = encodeSegmentHeader(HEADER);
    for (let size = 0; size < bytes.length; size += 1)
      expect(() => decodeSegmentHeader(bytes.subarray(0, size))).toThrow(WireError);
    for (let at = 0; at < bytes.length; at += 1) {
      const changed = Uint8Array.from(bytes);
      changed[at] = (changed[at] ?? 0) ^ 0x10;
      expect(() => decodeSegmentHeader(changed)).toThrow(WireError);
    }
  });

  test('tells a later format from damage', () => {
    const later = Uint8Array.from(encodeSegmentHeader(HEADER));
    assert.isFalse(isOtherFormat(later));
    later[7] = '2'.charCodeAt(0);
    assert.isTrue(isOtherFormat(later));
    assert.isFalse(isOtherFormat(new Uint8Array(96)));
  });
});

describe('segmentName()', () => {
  test('is read back, whatever the chain', () => {
    for (const chain of ['btc', 'ltc-regtest', 'a-1-b', '9'.repeat(32)]) {
      const { journalId, firstIndex } = HEADER;
      const name = segmentName({ ...HEADER, chain });
      assert.deepEqual(parseSegmentName(name), { chain, journalId, firstIndex });
    }
  });

  test('refuses ids that would leave the folder', () => {
    expect(() => segmentName({ ...HEADER, chain: '../x' })).toThrow(JournalError);
    expect(() => segmentName({ ...HEADER, journalId: 'x' })).toThrow(JournalError);
    assert.isUndefined(parseSegmentName('notes.txt'));
    assert.isUndefined(parseSegmentName(`${segmentName(HEADER)}.tmp`));
  });
});

describe('walkFrames()', () => {
  test('meets every frame, also those longer than a chunk, and says where it ended', async () => {
    await using folder = await tempFolder();
    const records = [share(), candidate({ submission: 'x'.repeat(900_000) }), share({ timeMs: 5 })];
    const frames = Array.from({ length: 900 }, (_, at) =>
      encodeRecord(records[at % 3 === 1 && at > 9 ? 0 : at % 3] ?? share()),
    );
    const path = join(folder.path, 'frames');
    const bytes = Buffer.concat([Buffer.alloc(SEGMENT_HEADER_BYTES), ...frames]);
    await writeFile(path, bytes);
    await using file = await open(path);
    const met: Buffer[] = [];
    const walked = await walkFrames(file, SEGMENT_HEADER_BYTES, bytes.length, ({ frame }) => {
      met.push(Buffer.from(frame));
      return true;
    });
    assert.deepEqual(walked, { kind: 'end', offset: bytes.length });
    assert.isTrue(Buffer.concat(met).equals(bytes.subarray(SEGMENT_HEADER_BYTES)));
    assert.equal(met.length, 900);
  });

  test('ends before the first frame that is bad or cut off', async () => {
    await using folder = await tempFolder();
    const path = join(folder.path, 'frames');
    const frames = [1, 2, 3].map((timeMs) => encodeRecord(share({ timeMs })));
    const whole = Buffer.concat(frames);
    const size = frames[0]?.length ?? 0;
    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length - 1), fc.boolean(), async (at, isCut) => {
        const broken = Buffer.from(isCut ? whole.subarray(0, at) : whole);
        if (!isCut) broken[at] = (broken[at] ?? 0) ^ 1;
        await writeFile(path, broken);
        await using file = await open(path);
        const walked = await walkFrames(file, 0, broken.length, () => true);
        const good = Math.floor(at / size) * size;
        assert.deepEqual(walked, { kind: good === broken.length ? 'end' : 'torn', offset: good });
      }),
      { numRuns: 60 },
    );
  });
});

async function tempFolder() {
  const path = await mkdtemp(join(tmpdir(), 'seam-segment-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}
