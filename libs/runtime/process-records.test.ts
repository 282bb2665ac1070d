import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { waitFor } from '#test/harness/wait-for.ts';
import {
  forgetRecord,
  isAlive,
  launchProcess,
  listRecords,
  signalProcess,
} from './process-records.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'seam-runtime-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('process records', () => {
  const at = () => ({ records: join(folder, 'records'), logs: join(folder, 'logs') });
  const launch = (name: string, script = 'setInterval(() => {}, 1000)') =>
    launchProcess(
      at(),
      {
        name,
        group: 'g',
        version: '1',
        command: process.execPath,
        args: ['-e', script],
        env: {},
        cwd: folder,
      },
      Date.now(),
    );

  test('of two starters of a name one wins, and a dead one frees the name', async () => {
    const starts = await Promise.all([launch('x'), launch('x'), launch('x')]);
    const [winner] = starts.filter((record) => record !== undefined);
    expect(starts.filter((record) => record !== undefined).length).toBe(1);
    if (winner === undefined) return;
    expect(await isAlive(winner, Date.now())).toBe(true);
    expect(await signalProcess({ ...winner, startTime: 'another life' }, 'SIGKILL')).toBe(false);
    expect(await signalProcess(winner, 'SIGKILL')).toBe(true);
    await waitFor(async () => !(await isAlive(winner, Date.now())), { what: 'it to end' });
    expect(await Promise.all([forgetRecord(at(), winner), forgetRecord(at(), winner)])).toContain(
      true,
    );
    expect(await listRecords(at())).toEqual([]);
    const again = await launch('x', '');
    expect(again?.name).toBe('x');
  });
});
