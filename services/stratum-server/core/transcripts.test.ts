/**
 * Each file of test/golden/transcripts is a conversation. After a wanted change: `UPDATE_GOLDEN=1 vitest run <this file>`,
 * and read the difference.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { replay } from './transcript.fixture.ts';

const FOLDER = new URL('../../../test/golden/transcripts/', import.meta.url);

describe('the pool says what stands in the transcript', () => {
  for (const name of readdirSync(FOLDER).filter((file) => file.endsWith('.txt'))) {
    test(name, () => {
      const url = new URL(name, FOLDER);
      const golden = readFileSync(url, 'utf8');
      const played = replay(golden);
      if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(url, played);
      else expect(played).toBe(golden);
    });
  }
});
