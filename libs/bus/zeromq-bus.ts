/**
 * The bus on ZeroMQ: one PUB and one ROUTER bound, a DEALER and a SUB for each peer, CURVE on all of them.
 *
 * File descriptors: 8 for each peer (two connections, two mailboxes, two monitors), and libzmq aborts the process
 * when there are none left. Who limits its connections by the process' limit leaves room for that.
 */
import type { Registry } from '@prometheus-io/client';
import type { Logger } from 'pino';
import { context, Dealer, Publisher, Router, Subscriber } from 'zeromq';
import { bindInRange, type PortRange, tcpEndpoint } from './bind-in-range.ts';
import type { Bus, BusPeer } from './bus.ts';
import { BusCore, type BusSelf } from './bus-core.ts';
import { type BusMetrics, createBusMetrics } from './bus-metrics.ts';
import { curveClientOptions, curveServerOptions, findKeyring } from './curve.ts';
import { FRAME_BYTES_MAX, type Frames, sizeOfFrames } from './frame.ts';
import type { MeshKeys } from './mesh-keys.ts';
import { watchRefusals } from './refusals.ts';
import { SendQueue } from './send-queue.ts';
import type { Channel, ChannelEvents, Transport } from './transport.ts';
import { ensureZap } from './zap.ts';
import { receiveAll, ZeromqPeer } from './zeromq-peer.ts';

/** [messages] libzmq holds for each publication's hearer, and we hold unread of each publisher */
const PUB_HIGH_WATER = 10_000;
/** [messages] libzmq holds for each caller's replies */
const RPC_HIGH_WATER = 1_000;
const QUEUE_CAPACITY = 10_000;
const QUEUE_BYTES_MAX = 256 * 1_024 * 1_024;
/** [ms] last words ("I leave", a reply) get this long after close; a dead peer holds nobody up for more */
const LINGER_MS = 250;
/** libzmq takes 1023 sockets by default; a peer costs six, monitors included */
const SOCKETS_MAX = 16_384;

/** A dead or frozen peer's connection breaks after a second. */
const HEARTBEAT = { heartbeatInterval: 250, heartbeatTimeout: 1_000 } as const;
const COMMON = {
  ...HEARTBEAT,
  maxMessageSize: FRAME_BYTES_MAX,
  reconnectInterval: 100,
  reconnectMaxInterval: 1_000,
} as const;

export interface ZeromqBusOptions {
  readonly self: BusSelf;
  /** Address to bind to, such as 127.0.0.1 or 0.0.0.0. */
  readonly bindAddress: string;
  /** Address peers reach us by. */
  readonly advertiseAddress: string;
  readonly portRange: PortRange;
  readonly meshKeys: MeshKeys;
  readonly log: Logger;
  readonly metrics: Registry;
  readonly nowMs: () => number;
}

/**
 * Binds and serves at once; peers come by `setPeers`.
 *
 * @throws {Error} if no port of the range is free
 */
export async function createZeromqBus(options: ZeromqBusOptions): Promise<Bus> {
  const transport = await ZeromqTransport.create(options);
  return new BusCore(transport, options);
}

class ZeromqTransport implements Transport {
  readonly endpoints: Transport['endpoints'];
  readonly #options: ZeromqBusOptions;
  readonly #metrics: BusMetrics;
  readonly #pub: Publisher;
  readonly #router: Router;
  readonly #owned: AsyncDisposableStack;
  readonly #pubQueue: SendQueue<Frames>;
  readonly #routerQueue: SendQueue<Frames>;
  readonly #prefixes = new Set<string>();
  readonly #peers = new Set<ZeromqPeer>();

  static async create(options: ZeromqBusOptions): Promise<ZeromqTransport> {
    context.maxSockets = SOCKETS_MAX; // Has effect before the first socket of the process only.
    await using acquired = new AsyncDisposableStack();
    const { meshKeys, bindAddress, portRange } = options;
    acquired.use(await ensureZap(meshKeys, options));
    const bound = {
      ...COMMON,
      ...curveServerOptions(meshKeys),
      ipv6: bindAddress.includes(':'),
      linger: LINGER_MS,
      sendTimeout: 0,
    };
    const pub = acquired.adopt(
      new Publisher({ ...bound, sendHighWaterMark: PUB_HIGH_WATER }),
      close,
    );
    const router = acquired.adopt(
      new Router({ ...bound, sendHighWaterMark: RPC_HIGH_WATER, mandatory: true }),
      close,
    );
    const pubPort = await bindInRange(pub, bindAddress, portRange);
    const rpcPort = await bindInRange(router, bindAddress, portRange);
    watchRefusals(pub, options);
    watchRefusals(router, options);
    return new ZeromqTransport(options, { pub, router, pubPort, rpcPort, owned: acquired.move() });
  }

  private constructor(
    options: ZeromqBusOptions,
    bound: {
      readonly pub: Publisher;
      readonly router: Router;
      readonly pubPort: number;
      readonly rpcPort: number;
      readonly owned: AsyncDisposableStack;
    },
  ) {
    const { advertiseAddress } = options;
    this.#options = options;
    this.#metrics = createBusMetrics(options.metrics);
    this.#pub = bound.pub;
    this.#router = bound.router;
    this.#owned = bound.owned;
    this.#pubQueue = this.#createQueue('pub', 'drop_oldest', (frames) =>
      this.#pub.send([...frames]),
    );
    this.#routerQueue = this.#createQueue('router', 'reject', (frames) =>
      this.#router.send([...frames]),
    );
    this.endpoints = {
      pub: tcpEndpoint(advertiseAddress, bound.pubPort),
      rpc: tcpEndpoint(advertiseAddress, bound.rpcPort),
    };
  }

  get queueLengths() {
    const dealer = [...this.#peers].reduce((sum, { queueLength }) => sum + queueLength, 0);
    return { pub: this.#pubQueue.length, router: this.#routerQueue.length, dealer };
  }

  listen(onRequest: (frames: Frames, reply: (frames: Frames) => void) => void): void {
    void receiveAll(this.#router, ([routingId = new Uint8Array(), ...frames]) => {
      onRequest(frames, (answer) =>
        this.#push(this.#routerQueue, 'router', [routingId, ...answer]),
      );
    });
  }

  publish(frames: Frames): void {
    this.#push(this.#pubQueue, 'pub', frames);
  }

  subscribe(prefix: string): void {
    this.#prefixes.add(prefix);
    for (const peer of this.#peers) peer.subscribe(prefix);
  }

  unsubscribe(prefix: string): void {
    this.#prefixes.delete(prefix);
    for (const peer of this.#peers) peer.unsubscribe(prefix);
  }

  connect(peer: BusPeer, events: ChannelEvents): Channel {
    const { meshKeys, log } = this.#options;
    if (findKeyring(meshKeys, peer.serverKeyId) === undefined) {
      log.warn(
        { id: peer.id, serverKeyId: peer.serverKeyId },
        'peer has a mesh key we do not know',
      );
      return UNREACHABLE;
    }
    const options = {
      ...COMMON,
      ...curveClientOptions(meshKeys, peer.serverKeyId),
      ipv6: peer.rpcEndpoint.includes('['),
      linger: 0,
    };
    const channel: ZeromqPeer = new ZeromqPeer({
      rpcEndpoint: peer.rpcEndpoint,
      pubEndpoint: peer.pubEndpoint,
      prefixes: this.#prefixes,
      createDealer: () =>
        new Dealer({ ...options, sendTimeout: 0, sendHighWaterMark: RPC_HIGH_WATER }),
      createSubscriber: () => new Subscriber({ ...options, receiveHighWaterMark: PUB_HIGH_WATER }),
      createQueue: (send) => this.#createQueue('dealer', 'reject', send),
      events,
      onClosed: () => this.#peers.delete(channel),
    });
    this.#peers.add(channel);
    return channel;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.race([this.#drained(), lingered()]);
    for (const peer of [...this.#peers]) peer[Symbol.dispose]();
    this.#pubQueue.close();
    this.#routerQueue.close();
    await this.#owned.disposeAsync();
  }

  async #drained(): Promise<void> {
    await Promise.all([this.#pubQueue.idle(), this.#routerQueue.idle()]);
  }

  #push(queue: SendQueue<Frames>, name: string, frames: Frames): void {
    if (!queue.push(frames)) this.#metrics.dropped.inc({ queue: name });
  }

  /** A message that cannot be sent at once (its reader is gone or too slow) is lost, and counted. */
  #createQueue(
    queue: 'pub' | 'router' | 'dealer',
    overflow: 'drop_oldest' | 'reject',
    send: (frames: Frames) => Promise<void>,
  ): SendQueue<Frames> {
    const count = () => this.#metrics.dropped.inc({ queue });
    return new SendQueue<Frames>({
      send,
      capacity: QUEUE_CAPACITY,
      bytesMax: QUEUE_BYTES_MAX,
      sizeOf: sizeOfFrames,
      overflow,
      onDropped: count,
      onFailed: count,
    });
  }
}

/** A peer of another mesh, or of a secret we were not told: calls to it time out. */
const UNREACHABLE: Channel = { send: () => false, [Symbol.dispose]: () => undefined };

function close(socket: Publisher | Router): void {
  socket.close();
}

async function lingered(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, LINGER_MS).unref());
}
