/** Commands that show the mesh and set its wishes: thin over the two HTTP APIs. */
import { z } from 'zod';
import { blocksPage, workersPage } from '#libs/contracts/public-api.ts';
import { callEdge, fetchGroups } from '../operator-api.ts';
import { runFolder } from '../run-folder.ts';
import {
  CommandError,
  EXIT,
  formatAge,
  formatHashrate,
  formatTable,
  printJson,
  progress,
} from '../terminal.ts';

interface Options {
  readonly runDir?: string;
  readonly json?: boolean;
}

export async function printGroups(options: Options): Promise<void> {
  const { groups } = await fetchGroups(runFolder(options.runDir));
  if (options.json === true) return printJson({ groups });
  const rows = groups.map(({ group, serving, desired, source, plan }) => [
    group,
    serving,
    desired,
    source,
    plan.map((step) => step.kind).join(' '),
  ]);
  process.stdout.write(`${formatTable(['GROUP', 'SERVING', 'DESIRED', 'SET BY', 'PLAN'], rows)}\n`);
}

/** Sets the wish and shows how it comes true. */
export async function scale(group: string, count: string, options: Options): Promise<void> {
  const desired = Number(count);
  if (!Number.isInteger(desired) || desired < 0)
    throw new CommandError(
      `Cannot scale ${group} to ${count}: it must be a whole number`,
      EXIT.usage,
    );
  const folder = runFolder(options.runDir);
  await callEdge(folder, 'api', { method: 'PUT', path: `/v1/groups/${group}`, body: { desired } });
  let said = '';
  for (;;) {
    const found = (await fetchGroups(folder)).groups.find((known) => known.group === group);
    if (found === undefined) throw new CommandError(`Cannot see ${group} any more`);
    const text = `${group}: ${found.serving} of ${found.desired} serve, ${found.instances.length} processes`;
    if (text !== said) progress((said = text));
    if (found.serving === desired && found.instances.length === desired) break;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  if (options.json === true) printJson({ group, desired });
}

export async function printWorkers(options: Options): Promise<void> {
  const answer = await callEdge(runFolder(options.runDir), 'http', { path: '/api/v1/workers' });
  if (options.json === true) return printJson(answer);
  const { workers } = workersPage.parse(answer);
  const rows = workers.map(({ worker, hashrateHps, accepted, rejected, lastShareMs }) => [
    worker,
    formatHashrate(hashrateHps['1m']),
    formatHashrate(hashrateHps['1h']),
    accepted,
    Object.values(rejected).reduce((sum, count) => sum + count, 0),
    ageOf(lastShareMs),
  ]);
  process.stdout.write(
    `${formatTable(['WORKER', '1 MIN', '1 HOUR', 'ACCEPTED', 'REJECTED', 'LAST SHARE'], rows)}\n`,
  );
}

export async function printBlocks(options: Options): Promise<void> {
  const answer = await callEdge(runFolder(options.runDir), 'http', { path: '/api/v1/blocks' });
  if (options.json === true) return printJson(answer);
  const { blocks } = blocksPage.parse(answer);
  const rows = blocks.map(({ chain, height, state, worker, foundMs, hash }) => [
    chain,
    height ?? '?',
    state,
    worker ?? '?',
    ageOf(foundMs),
    hash,
  ]);
  process.stdout.write(
    `${formatTable(['CHAIN', 'HEIGHT', 'STATE', 'WORKER', 'FOUND', 'HASH'], rows)}\n`,
  );
}

function ageOf(timeMs: number | null): string {
  return timeMs === null ? 'never' : `${formatAge(Date.now() - timeMs)} ago`;
}

const client = z
  .object({
    conn: z.string(),
    workers: z.array(z.string()),
    server: z.string(),
    frontend: z.string(),
    connectedMs: z.number(),
    difficulty: z.number(),
    accepted: z.number(),
    rejected: z.number(),
  })
  .loose();

const CLIENT_HEAD = [
  'CONNECTION',
  'WORKERS',
  'FRONTEND',
  'SERVER',
  'SINCE',
  'DIFFICULTY',
  'ACCEPTED',
  'REJECTED',
];

export async function printClients(options: Options): Promise<void> {
  const answer = await callEdge(runFolder(options.runDir), 'api', { path: '/v1/clients' });
  if (options.json === true) return printJson(answer);
  const { clients } = z.object({ clients: z.array(client) }).parse(answer);
  const nowMs = Date.now();
  const rows = clients.map((one) => {
    const { conn, workers, frontend, server, connectedMs, difficulty, accepted, rejected } = one;
    return [
      conn,
      workers.join(','),
      frontend,
      server,
      formatAge(nowMs - connectedMs),
      difficulty,
      accepted,
      rejected,
    ];
  });
  process.stdout.write(`${formatTable(CLIENT_HEAD, rows)}\n`);
}
