/** What is done to the mesh while the fleet mines, one thing after another, each until the mesh is whole again. */
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { poolView } from '#libs/contracts/public-api.ts';
import { isAlive, type ProcessRecord } from '#libs/runtime/process-records.ts';
import type { TestMesh } from '#test/harness/mesh.ts';
import { waitFor } from '#test/harness/wait-for.ts';
import type { Chapter, Fleet } from './fleet.ts';

export interface Scenario {
  readonly name: string;
  readonly run: (mesh: TestMesh) => Promise<void>;
}

export interface ScenarioReport extends Chapter {
  readonly name: string;
  readonly seconds: number;
}

/** [ms] longer than a link lives without a heartbeat, shorter than a registry record */
const FROZEN_MS = 3_000;
const HEALED_MS = 120_000;

const groupsView = z.object({
  groups: z.array(
    z.object({ group: z.string(), serving: z.number(), desired: z.number() }).loose(),
  ),
});

export async function isWhole(mesh: TestMesh): Promise<boolean> {
  const answer = await mesh.operator('/v1/groups').catch(() => undefined);
  if (answer?.ok !== true) return false;
  return groupsView
    .parse(await answer.json())
    .groups.every(({ serving, desired }) => serving === desired);
}

/** One of the mesh's processes, whatever its name is now: an instance that drains may be replaced under another one. */
interface Victim {
  readonly kind: string;
  readonly pick: (mesh: TestMesh) => Promise<ProcessRecord | undefined>;
}

function instance(group: string, index: number): Victim {
  const pick = async (mesh: TestMesh) =>
    (await mesh.services()).filter((record) => record.group === group)[index];
  return { kind: `${group} #${index + 1}`, pick };
}

function helper(name: string): Victim {
  return {
    kind: name,
    pick: async (mesh) => (await mesh.helpers()).find((record) => record.name === name),
  };
}

async function pidOf(victim: Victim, mesh: TestMesh): Promise<ProcessRecord> {
  return await waitFor(() => victim.pick(mesh), { what: `a ${victim.kind}`, timeoutMs: HEALED_MS });
}

/** Ends it; over when it is gone. Whether it is replaced is for the mesh to show. */
function ended(victim: Victim, signal: NodeJS.Signals): Scenario {
  return {
    name: `${victim.kind} ${signal}`,
    run: async (mesh) => {
      const record = await pidOf(victim, mesh);
      process.kill(record.pid, signal);
      await waitFor(async () => !(await isAlive(record, Date.now())), {
        what: `${record.name} to end`,
        timeoutMs: HEALED_MS,
      });
    },
  };
}

/** Frozen for longer than its peers wait, then woken: it must not speak any more for what moved on. */
function frozen(victim: Victim): Scenario {
  return {
    name: `${victim.kind} SIGSTOP, SIGCONT`,
    run: async (mesh) => {
      const { pid } = await pidOf(victim, mesh);
      process.kill(pid, 'SIGSTOP');
      await sleep(FROZEN_MS); // The length of the freeze is the scenario; nothing is concluded from it.
      process.kill(pid, 'SIGCONT');
    },
  };
}

/** Everything behind the frontends in each way, and the frontends themselves as an upgrade ends them. */
export function backendScenarios(chain: string): readonly Scenario[] {
  const jobmanagers = `jobmanager/${chain}`;
  const services = [
    instance('stratum-server', 0),
    instance('stratum-server', 1),
    instance(jobmanagers, 0),
    instance(jobmanagers, 1),
    instance('reporter', 0),
  ];
  const convergers = [helper('converger-1'), helper('converger-2')];
  return [
    ...[...services, ...convergers, helper('redis'), helper('devchain')].map((victim) =>
      ended(victim, 'SIGKILL'),
    ),
    ...[...services, ...convergers].map((victim) => ended(victim, 'SIGTERM')),
    ended(instance('socket-frontend', 0), 'SIGTERM'),
    ended(instance('socket-frontend', 1), 'SIGTERM'),
    ...[...services, ...convergers, helper('redis'), helper('devchain')].map(frozen),
  ];
}

/** A few of each kind: what every run of the suite does. */
export function shortScenarios(chain: string): readonly Scenario[] {
  return [
    ended(instance('stratum-server', 0), 'SIGKILL'),
    ended(instance('stratum-server', 1), 'SIGTERM'),
    frozen(instance('stratum-server', 0)),
    ended(instance(`jobmanager/${chain}`, 0), 'SIGKILL'),
    ended(instance('reporter', 0), 'SIGKILL'),
    ended(helper('redis'), 'SIGKILL'),
    ended(helper('devchain'), 'SIGKILL'),
    ended(instance('socket-frontend', 0), 'SIGTERM'),
  ];
}

/** Runs one scenario under load and tells what the fleet saw of it. */
export async function runScenario(
  scenario: Scenario,
  mesh: TestMesh,
  fleet: Fleet,
): Promise<ScenarioReport> {
  fleet.since();
  const startedMs = performance.now();
  await scenario.run(mesh);
  await waitFor(() => isWhole(mesh), {
    what: `the mesh to be whole after ${scenario.name}`,
    timeoutMs: HEALED_MS,
  });
  // Whole, and serving: everybody is there and shares are accepted again.
  const { accepted } = fleet.report();
  await waitFor(
    () => fleet.report().accepted >= accepted + 20 && fleet.report().connected === fleet.size,
    {
      what: `shares after ${scenario.name}`,
      timeoutMs: HEALED_MS,
    },
  );
  const seconds = Math.round((performance.now() - startedMs) / 1_000);
  return { name: scenario.name, seconds, ...fleet.since() };
}

/** [shares] in the books, each counted once. */
export async function countedShares(
  mesh: TestMesh,
): Promise<{ readonly counted: number; readonly duplicates: number; readonly lost: number }> {
  const { chains } = poolView.parse(await mesh.getJson('/api/v1/pool'));
  const sum = (pick: (chain: (typeof chains)[number]) => number) =>
    chains.reduce((total, chain) => total + pick(chain), 0);
  return {
    counted: sum(({ totals }) => totals.shares + totals.soloShares),
    duplicates: sum(({ totals }) => totals.duplicates),
    lost: sum(({ totals }) => totals.lost),
  };
}

export function formatReports(reports: readonly ScenarioReport[]): string {
  const head = [
    'scenario',
    's',
    'accepted',
    'stale',
    'blocks',
    'disconnects',
    'p50 ms',
    'p99 ms',
    'faults',
  ];
  const rows = reports.map((one) =>
    [
      one.name,
      one.seconds,
      one.accepted,
      one.stale,
      one.blocks,
      one.disconnects,
      one.answerMs.p50.toFixed(1),
      one.answerMs.p99.toFixed(0),
      JSON.stringify(one.faults),
    ].join(' | '),
  );
  return [head.join(' | '), ...rows].join('\n');
}
