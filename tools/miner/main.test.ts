import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { FakePool } from './fake-pool.fixture.ts';
import type { Report } from './report.ts';

const MAIN = fileURLToPath(new URL('./main.ts', import.meta.url));

async function run(
  ...options: readonly string[]
): Promise<{ code: number | null; output: string }> {
  const child = spawn(process.execPath, [MAIN, ...options], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, output };
}

test('mines as many shares as asked and reports as JSON', async () => {
  await using pool = await FakePool.start();
  const { code, output } = await run(
    ...['--url', pool.url, '--user', 'addr.rig', '--shares', '3', '--json', '--version-rolling'],
  );
  const report = JSON.parse(output) as Report;
  expect(report.problems).toEqual([]);
  expect(report.accepted).toBeGreaterThanOrEqual(3);
  expect(code).toBe(0);
});

test('ends with 1 when the pool is wrong, and says how', async () => {
  await using pool = await FakePool.start();
  pool.faults.add('version_in_mask');
  const { code, output } = await run(
    ...[
      '--url',
      pool.url,
      '--user',
      'addr',
      '--seconds',
      '0.5',
      '--version-rolling',
      '--count',
      '2',
    ],
  );
  expect(code).toBe(1);
  expect(output).toContain('version_in_mask: job');
  expect(pool.peers.size).toBe(0);
});
