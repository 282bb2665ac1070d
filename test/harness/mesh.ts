/** The whole mesh in a temp folder, started as a user starts it: by `./seam up`. */
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { stringify } from 'yaml';
import { freePort } from '#tools/cli/ports.ts';
import { type ProcessRecord, listRecords } from '#libs/runtime/process-records.ts';
import { waitFor } from './wait-for.ts';

const run = promisify(execFile);
const SEAM = join(import.meta.dirname, '..', '..', 'seam');
const UP_TIMEOUT_MS = 180_000;

export interface TestMesh extends AsyncDisposable {
  readonly runDir: string;
  readonly httpPort: number;
  readonly operatorPort: number;
  /** By listener name. */
  readonly ports: Readonly<Record<string, number>>;
  readonly redisUrl: string;
  readonly secretFile: string;
  /** Runs `./seam <args>` against this mesh. @returns stdout */
  seam(...args: readonly string[]): Promise<string>;
  /** Services by name, as their driver recorded them. */
  services(): Promise<readonly ProcessRecord[]>;
  helpers(): Promise<readonly ProcessRecord[]>;
  pid(name: string): Promise<number>;
  getJson(path: string): Promise<unknown>;
  operator(path: string, init?: RequestInit): Promise<Response>;
  /** Log lines of all processes at level error or above, and uncaught exceptions. */
  errors(): Promise<readonly string[]>;
}

export interface MeshOptions {
  /** `seam.yml` without ports, which are found here. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Listeners without their port. Default: one called `main`. */
  readonly listeners?: readonly Readonly<Record<string, unknown> & { readonly name: string }>[];
  readonly miners?: number;
}

const DEFAULT_LISTENER = { name: 'main', startDifficulty: 0.000002, minDifficulty: 0.0000001 };

export async function startMesh(options: MeshOptions = {}): Promise<TestMesh> {
  const runDir = await mkdtemp(join(tmpdir(), 'seam-mesh-'));
  const listeners = await Promise.all(
    (options.listeners ?? [DEFAULT_LISTENER]).map(async (one) => ({
      ...one,
      port: await freePort(),
    })),
  );
  const http = { port: await freePort(), operatorPort: await freePort() };
  const configFile = join(runDir, 'seam.yml');
  await writeFile(configFile, stringify({ ...options.config, listeners, http }));

  async function seam(...args: readonly string[]): Promise<string> {
    const { stdout } = await run(SEAM, [...args, '--run-dir', runDir], {
      timeout: UP_TIMEOUT_MS,
      maxBuffer: 1 << 24,
      env: cleanEnvironment(),
    });
    return stdout;
  }
  async function end(): Promise<void> {
    await seam('down');
    await rm(runDir, { recursive: true, force: true });
  }
  try {
    await seam('up', '--detach', '--config', configFile, '--miners', String(options.miners ?? 0));
  } catch (error) {
    const logs = await tailLogs(runDir);
    await end();
    throw new Error(`Cannot bring the mesh up:\n${logs}`, { cause: error });
  }
  const facts: unknown = JSON.parse(await readFile(join(runDir, 'facts.json'), 'utf8'));
  const { redisPort, redisPassword } = facts as { redisPort: number; redisPassword: string }; // Written by the command above.
  const services = async () => await listRecords({ records: join(runDir, 'instances'), logs: '' });
  const helpers = async () => await listRecords({ records: join(runDir, 'helpers'), logs: '' });
  return {
    runDir,
    httpPort: http.port,
    operatorPort: http.operatorPort,
    ports: Object.fromEntries(listeners.map(({ name, port }) => [name, port])),
    redisUrl: `redis://:${redisPassword}@127.0.0.1:${redisPort}`,
    secretFile: join(runDir, 'secret'),
    seam,
    services,
    helpers,
    async pid(name) {
      const records = [...(await services()), ...(await helpers())];
      const record = records.find((one) => one.name === name);
      if (record === undefined)
        throw new Error(
          `There is no process ${name}; known: ${records.map((one) => one.name).join(', ')}`,
        );
      return record.pid;
    },
    async getJson(path) {
      const answer = await fetch(`http://127.0.0.1:${http.port}${path}`);
      return await answer.json();
    },
    operator: async (path, init) =>
      await fetch(`http://127.0.0.1:${http.operatorPort}${path}`, init),
    errors: async () => await errorLines(runDir),
    [Symbol.asyncDispose]: end,
  };
}

/** The test's own environment must not steer the mesh under test. */
function cleanEnvironment(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(
    ([name]) => !/^(SEAM_|REDIS_|VITEST|NODE_ENV|CONVERGER_)/.test(name),
  );
  return Object.fromEntries(kept);
}

async function logFiles(runDir: string): Promise<readonly (readonly [string, string])[]> {
  const folder = join(runDir, 'log');
  const names = await readdir(folder).catch(() => []);
  return await Promise.all(
    names.map(async (name) => [name, await readFile(join(folder, name), 'utf8')] as const),
  );
}

async function tailLogs(runDir: string): Promise<string> {
  return (await logFiles(runDir))
    .map(([name, text]) => `== ${name}\n${text.split('\n').slice(-15).join('\n')}`)
    .join('\n');
}

/** pino: 50 is error, 60 is fatal. */
const ERROR_LINE =
  /"level":(50|60)|^(Uncaught|TypeError|ReferenceError|AssertionError|.*unhandledRejection)/;

async function errorLines(runDir: string): Promise<readonly string[]> {
  return (await logFiles(runDir)).flatMap(([name, text]) =>
    text
      .split('\n')
      .filter((line) => ERROR_LINE.test(line))
      .map((line) => `${name}: ${line}`),
  );
}

/** Kills a process and waits until the mesh has replaced it. */
export async function killAndWait(
  mesh: TestMesh,
  name: string,
  signal: NodeJS.Signals = 'SIGKILL',
): Promise<number> {
  const before = await mesh.pid(name);
  process.kill(before, signal);
  return await waitFor(
    async () => {
      const records = [...(await mesh.services()), ...(await mesh.helpers())];
      const record = records.find((one) => one.name === name);
      return record !== undefined && record.pid !== 0 && record.pid !== before
        ? record.pid
        : undefined;
    },
    { what: `${name} to be replaced`, timeoutMs: 60_000 },
  );
}
