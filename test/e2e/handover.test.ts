/** Frontends stop one after the other while miners mine through HAProxy: nobody is disconnected, every answer is right. */
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startMesh, type TestMesh } from '#test/harness/mesh.ts';
import { waitFor } from '#test/harness/wait-for.ts';
import { regtestAddress } from '#tools/cli/demo-address.ts';
import { HashThread } from '#tools/miner/hash-thread.ts';
import { Miner } from '#tools/miner/miner.ts';
import { isInOrder } from '#tools/miner/report.ts';

const MINERS = 50;
const ROUNDS = 2;
const LISTENERS = [{ name: 'main', startDifficulty: 0.0000005, minDifficulty: 0.0000001 }];

let mesh: TestMesh;
beforeAll(async () => {
  mesh = await startMesh({ listeners: LISTENERS });
}, 180_000);
afterAll(async () => await mesh?.[Symbol.asyncDispose](), 120_000);

test('frontends are replaced in turn, several times: no miner is disconnected, all answers come in order', async () => {
  await using hashThread = new HashThread();
  const miners = Array.from(
    { length: MINERS },
    () =>
      new Miner({
        url: `stratum+tcp://127.0.0.1:${mesh.ports['main'] ?? 0}`,
        username: `${regtestAddress(randomBytes(20))}.rig`,
        algorithm: 'sha256d',
        hashrateHps: 2_000,
        versionRolling: true,
        hashThread,
      }),
  );
  try {
    await mostMine(miners);
    for (let round = 0; round < ROUNDS; round += 1) {
      for (const name of await frontends()) {
        await replace(name);
        await mostMine(miners);
      }
    }
  } finally {
    const reports = await Promise.all(miners.map(async (miner) => await miner.stop()));
    const worst = Math.max(...reports.map(({ longestAnswerMs }) => longestAnswerMs));
    console.log('slowest answer', worst, 'ms'); // For the report only.
    expect(reports.filter(({ disconnects }) => disconnects > 0)).toHaveLength(0);
    expect(reports.flatMap(({ problems }) => problems)).toEqual([]);
    expect(reports.every(isInOrder)).toBe(true);
  }
  expect(await mesh.errors()).toEqual([]);
}, 240_000);

async function frontends(): Promise<readonly string[]> {
  return (await mesh.services())
    .map(({ name }) => name)
    .filter((name) => name.startsWith('socket-frontend'));
}

/** SIGTERM, and wait until it ended and the converger has made the group whole again. */
async function replace(name: string): Promise<void> {
  const pid = await mesh.pid(name);
  process.kill(pid, 'SIGTERM');
  await waitFor(() => isGone(pid), { what: `${name} to end`, timeoutMs: 50_000 });
  await waitFor(isWhole, { what: 'the group to be whole', timeoutMs: 60_000 });
}

function isGone(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return false;
  } catch {
    return true;
  }
}

async function isWhole(): Promise<boolean> {
  const answer = await mesh.operator('/v1/groups');
  const { groups } = (await answer.json()) as {
    groups: { serving: number; desired: number }[]; // As the API says.
  };
  return groups.every(({ serving, desired }) => serving === desired);
}

/** Most hear another answer to a share: who finds none for long has bad luck. */
async function mostMine(miners: readonly Miner[]): Promise<void> {
  const before = miners.map(({ report }) => report.accepted);
  await waitFor(
    () =>
      miners.filter(({ report }, index) => report.accepted > (before[index] ?? 0)).length >=
      MINERS * 0.6,
    { what: 'shares of most miners', timeoutMs: 60_000 },
  );
}
