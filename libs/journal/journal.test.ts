import {
  copyFile,
  mkdir,
  readdir,
  readFile,
  rm,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { assert, describe, expect, test } from 'vitest';
import { waitFor } from '#test/harness/wait-for.ts';
import { adoptJournals } from './adopt.ts';
import { JournalError } from './errors.ts';
import { openJournal } from './journal.ts';
import {
  metricValue,
  openIn,
  range,
  readShares,
  settingsIn,
  tempFolder,
  writeShares,
} from './journal.fixture.ts';
import { candidate, numberedShare, settled, share } from './record.fixture.ts';
import { encodeRecord } from './record-codec.ts';
import { SEGMENT_HEADER_BYTES } from './segment.ts';

async function segmentsIn(folder: string): Promise<string[]> {
  return (await readdir(folder)).filter((name) => name.endsWith('.jrn')).toSorted();
}

describe('a journal', () => {
  test('reads back what was flushed, and nothing that was only appended', async () => {
    await using folder = await tempFolder();
    await using journal = await openIn(settingsIn(folder.path));
    writeShares(journal, 0, 20);
    assert.equal(journal.append(numberedShare(20)), 20);
    assert.deepEqual(await readShares(journal), range(0, 20));
    assert.equal(journal.nextIndex, 21);
    assert.equal(journal.flushedIndex, 20);
    journal.flush();
    assert.deepEqual(await readShares(journal, 15), range(15, 21));
  });

  test('is registered before it exists for others, and leaves nothing if that fails', async () => {
    await using folder = await tempFolder();
    const settings = settingsIn(folder.path);
    const register = () => Promise.reject(new Error('redis is away'));
    await expect(openJournal({ ...settings, chain: 'btc', register })).rejects.toThrow(
      'redis is away',
    );
    assert.deepEqual(await readdir(folder.path), []);
  });

  test('rotates segments and reads across them, wherever it begins', async () => {
    await using folder = await tempFolder();
    await using journal = await openIn(settingsIn(folder.path));
    writeShares(journal, 0, 2_000);
    const segments = await segmentsIn(folder.path);
    assert.isAbove(segments.length, 4);
    for (const from of [0, 1, 250, 1_999, 2_000])
      assert.deepEqual(await readShares(journal, from), range(from, 2_000));
    assert.deepEqual(await readShares(journal, 3), range(3, 2_000)); // Back, behind the cursor.
    await expect(journal.read(2_001)).rejects.toThrow(RangeError);
  });

  test('gives at most what was asked for, and at least one record however long', async () => {
    await using folder = await tempFolder();
    await using journal = await openIn(settingsIn(folder.path, { segmentBytesMax: 67_108_864 }));
    for (const letter of ['a', 'b', 'c', 'd']) {
      journal.append(candidate({ submission: letter.repeat(900_000), hash: letter.repeat(64) }));
      journal.flush();
    }
    const two = await journal.read(0, 2);
    assert.equal(two.to, 2);
    const first = await journal.read(0);
    assert.isBelow(first.to, 4); // 2 MiB a slice.
    assert.isAbove(first.to, 0);
  });

  test('is cut back to its good records at every byte a crash may leave', async () => {
    await using folder = await tempFolder();
    await using kept = await tempFolder();
    const journal = await openIn(settingsIn(folder.path));
    writeShares(journal, 0, 3);
    await journal.sync();
    const size = SEGMENT_HEADER_BYTES + 3 * encodeRecord(numberedShare(0)).length;
    for (const name of await readdir(folder.path))
      if (!name.endsWith('.live')) await copyFile(join(folder.path, name), join(kept.path, name));
    await journal[Symbol.asyncDispose]();
    const record = (size - SEGMENT_HEADER_BYTES) / 3;
    for (let cut = 0; cut <= size; cut += 1) {
      await using torn = await freeCopy(kept.path);
      const [segment = ''] = await segmentsIn(torn.path);
      await truncate(join(torn.path, segment), cut);
      const settings = settingsIn(torn.path);
      const [adopted] = await adoptJournals(settings);
      assert(adopted);
      const whole = Math.max(0, Math.floor((cut - SEGMENT_HEADER_BYTES) / record));
      assert.equal(adopted.nextIndex, whole, `cut at ${cut}`);
      assert.deepEqual(await readShares(adopted), range(0, whole));
      const torn3 = whole > 0 ? cut - SEGMENT_HEADER_BYTES - whole * record : 0;
      if (whole > 0)
        assert.equal(await metricValue(settings, 'seam_journal_torn_bytes_total'), torn3);
      writeShares(adopted, whole, whole + 2);
      assert.deepEqual(await readShares(adopted), range(0, whole + 2));
      await adopted[Symbol.asyncDispose]();
      const later = settingsIn(torn.path);
      const [again] = await adoptJournals(later);
      assert.equal(again?.nextIndex, whole + 2);
      assert.equal(await metricValue(later, 'seam_journal_corrupt_segments_total'), 0);
      await again?.[Symbol.asyncDispose]();
    }
  });

  test('ends at zeros that a power loss left behind its last record', async () => {
    await using folder = await tempFolder();
    const journal = await openIn(settingsIn(folder.path));
    writeShares(journal, 0, 5);
    await journal[Symbol.asyncDispose]();
    const [segment = ''] = await segmentsIn(folder.path);
    const bytes = await readFile(join(folder.path, segment));
    await writeFile(join(folder.path, segment), Buffer.concat([bytes, Buffer.alloc(4_096)]));
    const settings = settingsIn(folder.path);
    const [adopted] = await adoptJournals(settings);
    assert(adopted);
    assert.deepEqual(await readShares(adopted), range(0, 5));
    assert.equal(await metricValue(settings, 'seam_journal_torn_bytes_total'), 4_096);
    await adopted[Symbol.asyncDispose]();
  });

  test('reports damage inside an older segment as lost records, with their number', async () => {
    await using folder = await tempFolder();
    const journal = await openIn(settingsIn(folder.path));
    writeShares(journal, 0, 1_000);
    await journal[Symbol.asyncDispose]();
    const [, second = '', third = ''] = await segmentsIn(folder.path);
    const path = join(folder.path, second);
    const bytes = await readFile(path);
    const record = encodeRecord(numberedShare(0)).length;
    bytes[SEGMENT_HEADER_BYTES + 10 * record + 20] = 0x77;
    await writeFile(path, bytes);
    const settings = settingsIn(folder.path);
    const [adopted] = await adoptJournals(settings);
    assert(adopted);
    const bad = Number(second.split('.')[1]) + 10;
    const next = Number(third.split('.')[1]);
    const expected = [...range(0, bad), `lost ${bad}-${next}`, ...range(next, 1_000)];
    assert.deepEqual(await readShares(adopted), expected);
    assert.isAbove(await metricValue(settings, 'seam_journal_corrupt_segments_total'), 0);
    await adopted[Symbol.asyncDispose]();
  });

  test('leaves a segment of a later format alone', async () => {
    await using folder = await tempFolder();
    const journal = await openIn(settingsIn(folder.path));
    writeShares(journal, 0, 5);
    await journal[Symbol.asyncDispose]();
    const [segment = ''] = await segmentsIn(folder.path);
    const bytes = await readFile(join(folder.path, segment));
    bytes[7] = '2'.charCodeAt(0);
    await writeFile(join(folder.path, segment), bytes);
    assert.deepEqual(await adoptJournals(settingsIn(folder.path)), []);
    assert.isTrue((await readFile(join(folder.path, segment))).equals(bytes));
  });

  test('knows which candidates still wait, also after adoption', async () => {
    await using folder = await tempFolder();
    const journal = await openIn(settingsIn(folder.path));
    const [first, second] = [
      candidate({ hash: '1'.repeat(64) }),
      candidate({ hash: '2'.repeat(64) }),
    ];
    journal.append(first);
    journal.append(second);
    journal.append(settled({ hash: first.hash }));
    journal.flush();
    assert.deepEqual(journal.unsettledCandidates(), [second]);
    await journal[Symbol.asyncDispose]();
    const [adopted] = await adoptJournals(settingsIn(folder.path));
    assert(adopted);
    assert.deepEqual(adopted.unsettledCandidates(), [second]);
    adopted.append(settled({ hash: second.hash, outcome: 'accepted' }));
    adopted.flush();
    assert.deepEqual(adopted.unsettledCandidates(), []);
    await adopted[Symbol.asyncDispose]();
    const [again] = await adoptJournals(settingsIn(folder.path));
    assert(again);
    assert.deepEqual(again.unsettledCandidates(), []);
    await again[Symbol.asyncDispose]();
  });

  test('goes on behind what the store has, when the disk lost the end', async () => {
    await using folder = await tempFolder();
    await using journal = await openIn(settingsIn(folder.path));
    writeShares(journal, 0, 10);
    journal.skipTo(15);
    assert.equal(journal.nextIndex, 15);
    writeShares(journal, 15, 20);
    assert.deepEqual(await readShares(journal, 8), [8, 9, 'lost 10-15', ...range(15, 20)]);
  });
});

describe('retention', () => {
  test('deletes acknowledged segments by size, oldest first, never the rest', async () => {
    await using folder = await tempFolder();
    await using journal = await openIn(settingsIn(folder.path, { keepBytesMax: 150_000 }));
    writeShares(journal, 0, 2_000);
    const before = await segmentsIn(folder.path);
    await journal.prune();
    assert.deepEqual(await segmentsIn(folder.path), before);
    journal.acknowledge(2_000);
    await journal.prune();
    const after = await segmentsIn(folder.path);
    assert.deepEqual(after, before.slice(-3)); // Two of 64 KiB and the one being written.
    const start = Number(after[0]?.split('.')[1]);
    assert.deepEqual(await readShares(journal), [`lost 0-${start}`, ...range(start, 2_000)]);
  });

  test('deletes acknowledged segments by age, but none with an unsettled candidate', async () => {
    await using folder = await tempFolder();
    let nowMs = Date.now();
    const settings = { ...settingsIn(folder.path, { keepMs: 1_000 }), nowMs: () => nowMs };
    await using journal = await openIn(settings);
    writeShares(journal, 0, 500);
    journal.append(candidate());
    writeShares(journal, 501, 1_000);
    journal.acknowledge(1_000);
    nowMs += 2_000;
    await journal.prune();
    const [oldest = ''] = await segmentsIn(folder.path);
    assert.isAtMost(Number(oldest.split('.')[1]), 500);
    assert.isAbove(Number(oldest.split('.')[1]), 0);
    journal.append(settled());
    journal.flush();
    journal.acknowledge(1_001);
    nowMs += 2_000;
    await journal.prune();
    assert.deepEqual(await segmentsIn(folder.path), []);
    assert.isTrue(journal.isExhausted);
    writeShares(journal, 1_001, 1_003);
    assert.deepEqual(await readShares(journal, 1_001), [1_001, 1_002]);
  });

  test('lets an adopted journal go once all of it is acknowledged and old', async () => {
    await using folder = await tempFolder();
    const journal = await openIn(settingsIn(folder.path));
    writeShares(journal, 0, 10);
    await journal[Symbol.asyncDispose]();
    const old = new Date(Date.now() - 100_000_000);
    for (const name of await segmentsIn(folder.path))
      await utimes(join(folder.path, name), old, old);
    const [adopted] = await adoptJournals(settingsIn(folder.path));
    assert(adopted);
    await adopted.prune();
    assert.isFalse(adopted.isExhausted);
    adopted.acknowledge(10);
    await adopted.prune();
    assert.isTrue(adopted.isExhausted);
    await adopted.remove();
    assert.deepEqual(await readdir(folder.path), []);
  });
});

describe('a journal that cannot write', () => {
  test('says so with a code, forgets what was refused, and goes on when it can', async (context) => {
    await using disk = await smallDisk(300);
    if (disk.skip !== undefined) return context.skip(disk.skip);
    const settings = settingsIn(disk.path);
    const journal = await openIn(settings);
    let written = 0;
    const failure = await fillUntilError(() => {
      journal.append(numberedShare(written));
      journal.flush();
      written += 1;
    });
    assert.equal(failure.code, 'no_space');
    assert.equal(journal.nextIndex, written);
    expect(() => writeShares(journal, written, written + 50)).toThrow(JournalError);
    assert.deepEqual(await readShares(journal), range(0, written));
    assert.isAbove(await metricValue(settings, 'seam_journal_write_errors_total'), 0);

    await rm(join(disk.path, 'ballast'));
    writeShares(journal, written, written + 5);
    assert.deepEqual(await readShares(journal), range(0, written + 5));
    await journal[Symbol.asyncDispose]();
    const [adopted] = await adoptJournals(settingsIn(disk.path));
    assert(adopted);
    assert.deepEqual(await readShares(adopted), range(0, written + 5));
    await adopted[Symbol.asyncDispose]();
  });

  test('says that it is closed', async () => {
    await using folder = await tempFolder();
    const journal = await openIn(settingsIn(folder.path));
    await journal[Symbol.asyncDispose]();
    journal.append(share());
    expect(() => journal.flush()).toThrow(expect.objectContaining({ code: 'closed' }));
    assert.deepEqual(await readdir(folder.path), []); // It never held a record.
  });

  test('says that its chain is no name', async () => {
    await using folder = await tempFolder();
    await expect(openIn(settingsIn(folder.path), '../btc')).rejects.toMatchObject({
      code: 'bad_name',
    });
    assert.deepEqual(await readdir(folder.path), []);
  });

  test('says that a path is too long for a socket', async () => {
    await using folder = await tempFolder();
    const deep = join(folder.path, 'x'.repeat(90));
    await expect(openIn(settingsIn(deep))).rejects.toMatchObject({ code: 'path_too_long' });
  });
});

test('a journal syncs in the background', async () => {
  await using folder = await tempFolder();
  const settings = settingsIn(folder.path, { syncMs: 10 });
  await using journal = await openIn(settings);
  writeShares(journal, 0, 600); // Rotates, so that a retired segment is synced too.
  await journal.sync();
  assert.equal(await metricValue(settings, 'seam_journal_sync_errors_total'), 0);
});

test('the gauges of a chain are sums over its journals and end at zero', async () => {
  await using folder = await tempFolder();
  const settings = settingsIn(folder.path);
  const [a, b] = [await openIn(settings), await openIn(settings)];
  writeShares(a, 0, 10);
  writeShares(b, 0, 5);
  a.acknowledge(4);
  assert.equal(await metricValue(settings, 'seam_journal_unshipped_records'), 11);
  await a[Symbol.asyncDispose]();
  await b[Symbol.asyncDispose]();
  await waitFor(async () => (await metricValue(settings, 'seam_journal_unshipped_records')) === 0);
  assert.equal(await metricValue(settings, 'seam_journal_retained_bytes'), 0);
});

/** A copy of a journal folder whose owner is gone: its file says that nobody owns it. */
async function freeCopy(from: string) {
  const copy = await tempFolder();
  for (const name of await readdir(from)) {
    const free = name.replace(/\.[0-9a-f]{16}\.owner$/, `.${'0'.repeat(16)}.owner`);
    await copyFile(join(from, name), join(copy.path, free));
  }
  return copy;
}

async function fillUntilError(step: () => void): Promise<JournalError> {
  for (let round = 0; round < 100_000; round += 1) {
    try {
      step();
    } catch (error) {
      assert(error instanceof JournalError);
      return error;
    }
  }
  throw new Error('the disk never got full');
}

/** A tmpfs of `kib` KiB, a third of it taken by a file `ballast`; `skip` says why there is none. */
async function smallDisk(kib: number) {
  const folder = await tempFolder();
  const path = join(folder.path, 'disk');
  await mkdir(path);
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${kib}k`, 'none', path]);
  const isMounted = mounted.status === 0;
  if (isMounted) await writeFile(join(path, 'ballast'), Buffer.alloc((kib * 1024) / 3));
  return {
    path,
    skip: isMounted ? undefined : `cannot mount a tmpfs: ${String(mounted.stderr).trim()}`,
    async [Symbol.asyncDispose]() {
      if (isMounted) spawnSync('umount', ['-l', path]);
      await folder[Symbol.asyncDispose]();
    },
  };
}
