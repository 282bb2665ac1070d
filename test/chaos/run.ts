/** The long form of chaos: every scenario, again and again, on a mesh of its own. */
import { startMesh } from '#test/harness/mesh.ts';
import { waitFor } from '#test/harness/wait-for.ts';
import { startFleet } from './fleet.ts';
import {
  backendScenarios,
  countedShares,
  formatReports,
  runScenario,
  type ScenarioReport,
} from './scenarios.ts';

export interface ChaosOptions {
  readonly minutes: number;
  readonly miners: number;
  readonly seed: number;
  readonly say: (text: string) => void;
}

export interface ChaosOutcome {
  readonly reports: readonly ScenarioReport[];
  readonly problems: readonly string[];
}

const HASHRATE_HPS = 80_000;

/** Numbers from a seed: the order of scenarios can be had again. */
function dice(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

/** At least one round of all scenarios, then more in the seed's order until the time is over. */
export async function runChaos({
  minutes,
  miners,
  seed,
  say,
}: ChaosOptions): Promise<ChaosOutcome> {
  await using mesh = await startMesh({
    listeners: [
      { name: 'main', startDifficulty: 0.000001, minDifficulty: 0.000001, vardiffTargetSec: 15 },
    ],
  });
  await using fleet = startFleet({
    size: miners,
    port: mesh.ports['main'] ?? 0,
    seed,
    hashrateHps: HASHRATE_HPS,
  });
  await waitFor(() => fleet.report().connected === miners && fleet.report().accepted > 50, {
    what: 'the fleet to mine',
    timeoutMs: 60_000,
  });
  say(`${miners} miners mine (seed ${seed})`);
  const reports: ScenarioReport[] = [];
  const roll = dice(seed);
  const endMs = performance.now() + minutes * 60_000;
  const all = backendScenarios('devchain');
  for (let turn = 0; turn < all.length || performance.now() < endMs; turn += 1) {
    const scenario = all[turn < all.length ? turn : Math.floor(roll() * all.length)];
    if (scenario === undefined) break;
    const report = await runScenario(scenario, mesh, fleet);
    reports.push(report);
    say(formatReports([report]).split('\n').at(-1) ?? '');
  }
  const report = await fleet.stop();
  const books = await waitFor(
    async () => {
      const now = await countedShares(mesh);
      return now.counted >= report.accepted ? now : undefined;
    },
    { what: 'the books to have every share', timeoutMs: 60_000 },
  );
  say(
    `answered true ${report.accepted}, counted ${books.counted}, submitted ${report.submitted}; second records dropped ${books.duplicates}, lost ${books.lost}`,
  );
  const undelivered = books.counted - report.accepted;
  return {
    reports,
    problems: [
      ...report.problems,
      ...(report.disconnects === 0 ? [] : [`${report.disconnects} disconnects`]),
      ...(undelivered === 0 && books.lost === 0
        ? []
        : [`books differ by ${undelivered}, lost ${books.lost}`]),
      ...(await mesh.errors()).slice(0, 20),
    ],
  };
}
