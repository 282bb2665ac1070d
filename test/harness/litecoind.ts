/**
 * Two connected `litecoind -regtest` in temp folders, with a block mined, for one test. Debian's litecoind (0.21.2)
 * is built without ZMQ: it finds blocks for us by long poll and poll only; ZMQ is tested with devchain.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createJsonRpc, type JsonRpc } from '#libs/coin-node/json-rpc.ts';
import { waitFor } from './wait-for.ts';

const USER = 'seam';
const PASSWORD = 'p:ss/w@rd'; // Needs percent-encoding in a URL, on purpose.
/** MWEB becomes active at height 432 of regtest. */
const BLOCKS_BEFORE_MWEB = 431;
const CALL_TIMEOUT_MS = 60_000;

export interface LitecoindNode {
  /** With user and password. */
  readonly url: string;
  readonly rpcPort: number;
  readonly pid: number;
  /** @throws {RpcError} */
  call(method: string, params?: readonly unknown[]): Promise<unknown>;
  /** Kills the node (default SIGKILL) and waits until it is gone. */
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** Starts it again on the same folder and ports, and waits until it answers. */
  start(): Promise<void>;
}

export interface TestLitecoind extends AsyncDisposable {
  /** The first has the wallet; the second is connected to it. */
  readonly nodes: readonly [LitecoindNode, LitecoindNode];
  /** An address of the first node's wallet, bech32. */
  readonly address: string;
  rpc(node: LitecoindNode, method: string, params?: readonly unknown[]): Promise<unknown>;
  /** Mines on the first node and waits until every running node has the last block. @returns the hashes */
  mine(count: number): Promise<readonly string[]>;
}

export interface LitecoindOptions {
  /** Brings MWEB to active: templates carry `mweb` and a HogEx from then on. Takes some seconds. */
  readonly withMweb?: boolean;
}

/** Why `startLitecoind()` cannot work on this machine; undefined if it can. For `test.skipIf()`. */
export function whyNoLitecoind(): string | undefined {
  const { error, status } = spawnSync('litecoind', ['-version'], { stdio: 'ignore' });
  if (error === undefined && status === 0) return undefined;
  return 'litecoind is not installed (Debian: apt-get install litecoind)';
}

/** @throws {Error} if there is no litecoind: ask {@link whyNoLitecoind} first */
export async function startLitecoind({
  withMweb = false,
}: LitecoindOptions = {}): Promise<TestLitecoind> {
  const reason = whyNoLitecoind();
  if (reason !== undefined) throw new Error(`Cannot start litecoind: ${reason}`);
  await using acquired = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'seam-litecoind-'));
  acquired.defer(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));
  const [peerPort, otherPort] = [await freePort(), await freePort()];
  const first = acquired.use(await launch(folder, 'a', peerPort, undefined));
  const second = acquired.use(await launch(folder, 'b', otherPort, peerPort));
  await first.call('createwallet', ['seam']);
  const address = String(await first.call('getnewaddress', ['', 'bech32']));
  await waitFor(() => isConnected(first), { what: 'the second litecoind to connect' });

  async function mine(count: number): Promise<readonly string[]> {
    const hashes = (await first.call('generatetoaddress', [count, address])) as string[];
    await waitFor(async () => !second.isRunning || (await haveSameTip(first, second)), {
      what: 'the second litecoind to follow',
    });
    return hashes;
  }
  await mine(1); // Without a recent block a node says it is in initial download.
  if (withMweb) await activateMweb(first, mine);

  const owned = acquired.move();
  return {
    nodes: [first, second],
    address,
    rpc: (node, method, params) => node.call(method, params),
    mine,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const address = probe.address();
  probe.close();
  await once(probe, 'close');
  if (address === null || typeof address === 'string') throw new Error('Cannot find a free port');
  return address.port;
}

interface OwnedNode extends LitecoindNode, AsyncDisposable {
  readonly isRunning: boolean;
}

async function launch(
  folder: string,
  name: string,
  port: number,
  peerPort: number | undefined,
): Promise<OwnedNode> {
  const dataFolder = await mkdtemp(join(folder, `${name}-`));
  const rpcPort = await freePort();
  const url = `http://${USER}:${encodeURIComponent(PASSWORD)}@127.0.0.1:${rpcPort}/`;
  const options = [
    '-regtest',
    `-datadir=${dataFolder}`,
    '-server',
    `-rpcuser=${USER}`,
    `-rpcpassword=${PASSWORD}`,
    `-rpcbind=127.0.0.1:${rpcPort}`,
    '-rpcallowip=127.0.0.1',
    `-bind=127.0.0.1:${port}`,
    '-listenonion=0',
    '-dnsseed=0',
    '-fallbackfee=0.001',
    '-dbcache=16',
    '-rpcthreads=64', // A long poll holds a thread until the next block, also when its caller is gone.
    '-printtoconsole=0',
    ...(peerPort === undefined ? [] : [`-connect=127.0.0.1:${peerPort}`]),
  ];
  const rpc: JsonRpc = createJsonRpc({ url });
  let child: ChildProcess;
  let isEnding = false;
  const isRunning = () => child.exitCode === null && child.signalCode === null;
  const call = (method: string, params: readonly unknown[] = []) =>
    rpc.call(method, params, { timeoutMs: CALL_TIMEOUT_MS });
  async function start(): Promise<void> {
    isEnding = false;
    child = spawn('litecoind', options, { stdio: ['ignore', 'ignore', 'pipe'] });
    child.stderr?.on('data', (bytes: Buffer) =>
      console.error(`litecoind ${name}: ${bytes.toString()}`),
    );
    child.once('exit', (code, signal) => {
      if (!isEnding)
        console.error(
          `litecoind ${name} ended by itself: code ${code} signal ${signal}\n${lastLog(dataFolder)}`,
        );
    });
    await waitFor(() => call('getblockcount').then(() => true), { what: 'litecoind to answer' });
  }
  async function kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    if (!isRunning()) return;
    isEnding = true;
    const gone = once(child, 'exit');
    child.kill(signal);
    if (signal !== 'SIGSTOP' && signal !== 'SIGCONT') await gone;
  }
  await start();
  return {
    url,
    rpcPort,
    get pid() {
      return child.pid ?? 0;
    },
    get isRunning() {
      return isRunning();
    },
    call,
    kill,
    start,
    async [Symbol.asyncDispose]() {
      await kill();
      await rpc[Symbol.asyncDispose]();
    },
  };
}

function lastLog(dataFolder: string): string {
  try {
    return readFileSync(join(dataFolder, 'regtest', 'debug.log'), 'utf8')
      .split('\n')
      .slice(-12)
      .join('\n');
  } catch {
    return 'without a log';
  }
}

async function isConnected(node: LitecoindNode): Promise<boolean> {
  return Number(await node.call('getconnectioncount')) > 0;
}

async function haveSameTip(one: LitecoindNode, other: LitecoindNode): Promise<boolean> {
  return (await one.call('getbestblockhash')) === (await other.call('getbestblockhash'));
}

/** Without a peg-in the template at the first MWEB height fails with `bad-txns-vin-empty`. */
async function activateMweb(
  node: LitecoindNode,
  mine: (count: number) => Promise<unknown>,
): Promise<void> {
  await mine(BLOCKS_BEFORE_MWEB - Number(await node.call('getblockcount')));
  await node.call('sendtoaddress', [await node.call('getnewaddress', ['', 'mweb']), 1]);
  await waitFor(
    async () => {
      const template = await node.call('getblocktemplate', [{ rules: ['mweb', 'segwit'] }]);
      return typeof template === 'object' && template !== null && 'mweb' in template;
    },
    { what: 'a template with an MWEB block' },
  );
}
