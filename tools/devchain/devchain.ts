/** Wires a devchain to its file, its HTTP port and its ZMQ port. */
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { DevchainParameters } from './core/parameters.ts';
import { ChainLogFile } from './io/chain-log.ts';
import { holdFolder } from './io/folder-lock.ts';
import { createHashblockPublisher } from './io/hashblock-publisher.ts';
import { createRpcServer } from './io/rpc-server.ts';
import { createCall } from './methods.ts';
import { DevchainNode } from './node.ts';

export interface DevchainOptions {
  /** Where the chain is kept; made if missing. */
  readonly folder: string;
  readonly parameters: DevchainParameters;
  /** Default 127.0.0.1 */
  readonly host?: string;
  /** 0 (the default): any free one */
  readonly rpcPort?: number;
  readonly zmqPort?: number;
  readonly user: string;
  readonly password: string;
  readonly log: Logger;
  /** [ms] between new transactions; default 0: none but those asked for by RPC */
  readonly mempoolIntervalMs?: number;
  /** [ms] default 60 s */
  readonly longPollMempoolMs?: number;
  readonly nowMs?: () => number;
  readonly random?: () => number;
}

export interface Devchain extends AsyncDisposable {
  readonly node: DevchainNode;
  /** With user and password. */
  readonly url: string;
  readonly rpcPort: number;
  readonly zmqHashblock: string;
  /** Resolves when the RPC `stop` was called. */
  readonly stopped: Promise<void>;
}

/** Transactions are added up to this many. */
const MEMPOOL_WANTED = 60;
const MEMPOOL_STEP_MAX = 5;

/** @throws {DevchainConfigError} if the folder is in use or holds another chain; if a port is taken */
export async function startDevchain(options: DevchainOptions): Promise<Devchain> {
  const { folder, parameters, host = '127.0.0.1', user, password, log } = options;
  const {
    nowMs = () => Date.now(),
    random = () => Math.random(),
    longPollMempoolMs = 60_000,
  } = options;
  await using acquired = new AsyncDisposableStack();
  acquired.use(await holdFolder(folder));
  const file = acquired.use(
    new ChainLogFile(join(folder, 'chain.dat'), describeParameters(parameters)),
  );
  if (file.droppedBytes > 0)
    log.warn({ droppedBytes: file.droppedBytes }, 'chain file was cut off');
  const node = new DevchainNode({ parameters, log: file, nowMs, random });
  const publisher = acquired.use(await createHashblockPublisher(host, options.zmqPort ?? 0));
  acquired.use(
    node.onTip((hash) => {
      const { height, transactionCount } = node.chain.tip;
      log.info({ hash, height, transactions: transactionCount }, 'new best block');
      publisher.publish(hash);
    }),
  );
  const stop = Promise.withResolvers<void>();
  const call = createCall({
    node,
    nowMs,
    startedMs: nowMs(),
    zmqEndpoint: publisher.endpoint,
    bytesOnDisk: () => file.bytes,
    longPollMempoolMs,
    onStop: () => setImmediate(stop.resolve),
  });
  const onBug = (error: unknown) => log.error({ err: error }, 'RPC method failed');
  const server = acquired.use(
    await createRpcServer({ host, port: options.rpcPort ?? 0, user, password, call, onBug }),
  );
  const filling = fillMempool(node, options.mempoolIntervalMs ?? 0, random);
  if (filling !== undefined) acquired.defer(() => clearInterval(filling));

  const owned = acquired.move();
  return {
    node,
    url: `http://${encodeURIComponent(user)}:${encodeURIComponent(password)}@${host}:${server.port}/`,
    rpcPort: server.port,
    zmqHashblock: publisher.endpoint,
    stopped: stop.promise,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

function fillMempool(
  node: DevchainNode,
  intervalMs: number,
  random: () => number,
): NodeJS.Timeout | undefined {
  if (intervalMs <= 0) return undefined;
  node.synthesize(MEMPOOL_STEP_MAX);
  return setInterval(() => {
    if (node.mempool.size < MEMPOOL_WANTED)
      node.synthesize(1 + Math.floor(random() * MEMPOOL_STEP_MAX));
  }, intervalMs);
}

function describeParameters({
  chain,
  algorithm,
  nbits,
  halvingInterval,
}: DevchainParameters): string {
  return JSON.stringify({ chain, algorithm, bits: nbits.toString(16), halvingInterval });
}
