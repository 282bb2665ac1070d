/** An embedded devchain on free ports in a temp folder, for one test; in this process, or as one that can be killed. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { pino } from 'pino';
import { createJsonRpc } from '#libs/coin-node/json-rpc.ts';
import { parametersOf, REGTEST_NBITS } from '#tools/devchain/core/parameters.ts';
import { type Devchain, startDevchain } from '#tools/devchain/devchain.ts';

export interface TestDevchain extends Devchain {
  call(method: string, params?: readonly unknown[]): Promise<unknown>;
}

export interface TestDevchainOptions {
  readonly chain?: 'bitcoin' | 'litecoin';
  readonly nbits?: number;
  /** [ms] after which a long poll is answered because the mempool changed; default 60 s */
  readonly longPollMempoolMs?: number;
}

export async function startTestDevchain(options: TestDevchainOptions = {}): Promise<TestDevchain> {
  const { chain = 'bitcoin', nbits = REGTEST_NBITS, longPollMempoolMs = 60_000 } = options;
  await using acquired = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'seam-devchain-'));
  acquired.defer(() => rm(folder, { recursive: true, force: true }));
  const devchain = acquired.use(
    await startDevchain({
      folder,
      parameters: parametersOf(chain, nbits),
      user: 'seam',
      password: 'p:ss/w@rd', // Needs percent-encoding in a URL, on purpose.
      log: pino({ level: 'silent' }),
      longPollMempoolMs,
    }),
  );
  const rpc = acquired.use(createJsonRpc({ url: devchain.url }));
  const owned = acquired.move();
  return {
    ...devchain,
    call: (method, params = []) => rpc.call(method, params, { timeoutMs: 60_000 }),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

export interface DevchainProcess extends AsyncDisposable {
  readonly url: string;
  readonly zmqHashblock: string;
  readonly pid: number;
  /** null while it runs. */
  readonly exitCode: number | null;
  call(method: string, params?: readonly unknown[]): Promise<unknown>;
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** Starts it again on the same folder and ports. */
  start(): Promise<void>;
}

const MAIN = fileURLToPath(new URL('../../tools/devchain/main.ts', import.meta.url));
const PASSWORD = 'secret';

/** The command line as a process. @param args besides folder, ports, user and password */
export async function spawnDevchain(args: readonly string[] = []): Promise<DevchainProcess> {
  await using acquired = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'seam-devchain-'));
  acquired.defer(() => rm(folder, { recursive: true, force: true }));
  const passwordFile = join(folder, 'password');
  await writeFile(passwordFile, PASSWORD);
  let child: ChildProcess | undefined;
  let ports = ['0', '0'];
  async function start(): Promise<void> {
    const [rpc = '0', zmq = '0'] = ports;
    const fixed = ['--folder', folder, '--rpc-port', rpc, '--zmq-port', zmq, '--log', 'warn'];
    const all = [MAIN, ...fixed, '--password-file', passwordFile, ...args];
    const started = spawn(process.execPath, all, { stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = (await Promise.race([
      once(createInterface(started.stdout), 'line'),
      once(started, 'exit').then(([code]) => Promise.reject(new Error(`devchain ended: ${code}`))),
    ])) as [string];
    child = started;
    const ready = JSON.parse(line) as { rpc: string; zmqHashblock: string };
    ports = [new URL(ready.rpc).port, new URL(ready.zmqHashblock).port];
  }
  async function kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill(signal);
    await gone;
  }
  acquired.defer(() => kill());
  await start();
  const url = `http://seam:${PASSWORD}@127.0.0.1:${ports[0]}/`;
  const rpc = acquired.use(createJsonRpc({ url }));
  const owned = acquired.move();
  return {
    url,
    zmqHashblock: `tcp://127.0.0.1:${ports[1]}`,
    get pid() {
      return child?.pid ?? 0;
    },
    get exitCode() {
      return child?.exitCode ?? null;
    },
    call: (method, params = []) => rpc.call(method, params, { timeoutMs: 60_000 }),
    kill,
    start,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
