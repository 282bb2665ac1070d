import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { writeFileAtomic } from './fs-atomic.ts';

test('of many writers at once one wins whole, and nothing is left behind', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'seam-atomic-'));
  const path = join(folder, 'sub', 'file');
  const texts = Array.from({ length: 20 }, (_, index) => String(index).repeat(100_000));
  await Promise.all(texts.map((text) => writeFileAtomic(path, text)));
  expect(texts).toContain(await readFile(path, 'utf8'));
  expect(await readdir(join(folder, 'sub'))).toEqual(['file']);
  await expect(writeFileAtomic(join(path, 'below'), '')).rejects.toThrow();
  await rm(folder, { recursive: true, force: true });
});
