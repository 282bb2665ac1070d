/** `seam status`: what runs where. */
import { isAlive, listRecords } from '#libs/runtime/process-records.ts';
import { callEdge, fetchGroups, fetchInstances } from '../operator-api.ts';
import { redisUrlOf, readFacts, type RunFolder } from '../run-folder.ts';
import { formatAge, formatTable, printJson } from '../terminal.ts';
import { z } from 'zod';

interface Row {
  readonly name: string;
  readonly state: string;
  readonly version: string;
  readonly pid: number;
  readonly ageMs: number;
  readonly at: string;
  readonly load: string;
}

const configView = z.object({
  listeners: z.array(
    z.object({ name: z.string(), port: z.number(), chain: z.string(), mode: z.string() }).loose(),
  ),
  chains: z.array(
    z
      .object({ id: z.string(), chain: z.string(), network: z.string(), isDevchain: z.boolean() })
      .loose(),
  ),
  http: z.object({ port: z.number(), operatorPort: z.number() }),
});

/** @throws {CommandError} if nothing answers */
export async function printStatus(folder: RunFolder, json: boolean): Promise<void> {
  const [{ groups }, services, helpers, config] = await Promise.all([
    fetchGroups(folder),
    serviceRows(folder),
    helperRows(folder),
    callEdge(folder, 'api', { path: '/v1/config' }).then((answer) => configView.parse(answer)),
  ]);
  const rows = [...helpers, ...services];
  if (json)
    return printJson({
      groups,
      processes: rows,
      listeners: config.listeners,
      chains: config.chains,
      http: config.http,
    });
  const table = rows.map(({ name, state, version, pid, ageMs, at, load }) => [
    name,
    state,
    version,
    pid,
    formatAge(ageMs),
    at,
    load,
  ]);
  const lines = [
    formatTable(['NAME', 'STATE', 'VERSION', 'PID', 'UP', 'WHERE', 'LOAD'], table),
    '',
    formatTable(
      ['GROUP', 'SERVING', 'DESIRED', 'SET BY'],
      groups.map(({ group, serving, desired, source }) => [group, serving, desired, source]),
    ),
    '',
    ...config.listeners.map(
      ({ name, port, chain, mode }) =>
        `miners      stratum+tcp://127.0.0.1:${port}  (${name}: ${chain}, ${mode})`,
    ),
    `public      http://127.0.0.1:${config.http.port}/`,
    `operator    http://127.0.0.1:${config.http.operatorPort}/v1/groups`,
    ...config.chains
      .filter((chain) => chain.isDevchain)
      .map(() => 'devchain    THESE ARE NOT REAL COINS: no chain is configured in seam.yml'),
  ];
  process.stdout.write(`${lines.join('\n')}\n`);
}

async function serviceRows(folder: RunFolder): Promise<readonly Row[]> {
  const { instances } = await fetchInstances(folder);
  return instances
    .toSorted(
      (a, b) => a.role.localeCompare(b.role) || a.id.localeCompare(b.id, 'en', { numeric: true }),
    )
    .map(({ id, state, version, pid, ageMs, endpoints, caps, load }) => ({
      name: id,
      state,
      version,
      pid,
      ageMs,
      at: endpoints.rpc.replace('tcp://', ''),
      load: [...Object.entries(caps), ...Object.entries(load)]
        .map(([key, value]) => `${key}=${value}`)
        .join(' '),
    }));
}

async function helperRows(folder: RunFolder): Promise<readonly Row[]> {
  const nowMs = Date.now();
  const facts = readFacts(folder);
  const records = (await listRecords({ records: folder.helpers, logs: folder.logs })).filter(
    ({ name }) => !name.startsWith('converger'),
  );
  const where = (name: string) => {
    if (name === 'redis' && facts !== undefined) return new URL(redisUrlOf(facts)).host;
    if (name === 'devchain' && facts !== undefined) return `127.0.0.1:${facts.devchainRpcPort}`;
    return '';
  };
  return await Promise.all(
    records.map(async (record) => ({
      name: record.name,
      state: (await isAlive(record, nowMs)) ? 'running' : 'dead',
      version: '',
      pid: record.pid,
      ageMs: nowMs - record.createdMs,
      at: where(record.name),
      load: '',
    })),
  );
}
