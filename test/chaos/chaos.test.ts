/**
 * Chaos under load, short form: a fleet that checks every answer, while each kind of process behind the frontends is killed,
 * stopped and frozen. Nobody is disconnected, every request is answered once and rightly, and the books balance.
 * The long form: `./seam chaos --minutes N`.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startMesh, type TestMesh } from '#test/harness/mesh.ts';
import { waitFor } from '#test/harness/wait-for.ts';
import { type Fleet, startFleet } from './fleet.ts';
import {
  countedShares,
  formatReports,
  runScenario,
  type ScenarioReport,
  shortScenarios,
} from './scenarios.ts';

const SIZE = 300;
const SEED = 20_261_121;
const HASHRATE_HPS = 80_000;

let mesh: TestMesh;
let fleet: Fleet;
const reports: ScenarioReport[] = [];

beforeAll(async () => {
  // One share in some 4 000 hashes: about twenty a second from all together.
  mesh = await startMesh({
    listeners: [
      { name: 'main', startDifficulty: 0.000001, minDifficulty: 0.000001, vardiffTargetSec: 15 },
    ],
  });
  fleet = startFleet({
    size: SIZE,
    port: mesh.ports['main'] ?? 0,
    seed: SEED,
    hashrateHps: HASHRATE_HPS,
  });
  await waitFor(() => fleet.report().connected === SIZE && fleet.report().accepted > 50, {
    what: 'the fleet to mine',
    timeoutMs: 60_000,
  });
}, 240_000);
afterAll(async () => {
  console.log(formatReports(reports));
  await fleet?.[Symbol.asyncDispose]();
  await mesh?.[Symbol.asyncDispose]();
}, 120_000);

test.each(shortScenarios('devchain').map((scenario) => [scenario.name, scenario] as const))(
  'nobody notices: %s',
  async (_name, scenario) => {
    const report = await runScenario(scenario, mesh, fleet);
    reports.push(report);
    expect(fleet.report().problems).toEqual([]);
    expect(report).toMatchObject({ disconnects: 0, faults: {} });
  },
  240_000,
);

test('the books balance: every share answered true is counted, once', async () => {
  const report = await fleet.stop();
  expect(report.faults.never_answered).toBe(0);
  const { counted, duplicates, lost } = await waitFor(
    async () => {
      const books = await countedShares(mesh);
      return books.counted >= report.accepted ? books : undefined;
    },
    { what: 'the books to have every share', timeoutMs: 60_000 },
  );
  console.log(
    `answered true ${report.accepted}, counted ${counted}, submitted ${report.submitted}; second records dropped ${duplicates}, lost ${lost}`,
  );
  expect(counted).toBeLessThanOrEqual(report.submitted);
  // Everything was delivered, since nobody was disconnected: not one more was counted than answered.
  expect(counted).toBe(report.accepted);
  expect(lost).toBe(0);
}, 120_000);
