/**
 * The stratum-server's end of the link: a ROUTER with a session per frontend. Bytes and sockets end here; what a
 * connection is, its user knows.
 */
import { Router } from 'zeromq';
import type { Registry as MetricRegistry } from '@prometheus-io/client';
import type { Logger } from 'pino';
import { bindInRange, type PortRange, tcpEndpoint } from '#libs/bus/bind-in-range.ts';
import { curveServerOptions } from '#libs/bus/curve.ts';
import type { MeshKeys } from '#libs/bus/mesh-keys.ts';
import { watchRefusals } from '#libs/bus/refusals.ts';
import { SendQueue } from '#libs/bus/send-queue.ts';
import { ensureZap } from '#libs/bus/zap.ts';
import type { DownItem, UpItem } from './items.ts';
import {
  HEARTBEAT_MS,
  MESSAGE_BYTES_MAX,
  QUEUE_BYTES_MAX,
  QUEUE_MESSAGES_MAX,
  SILENCE_MS,
} from './limits.ts';
import { LinkHub } from './link-hub.ts';
import type { EndReason, LinkIdentity } from './link-session.ts';

/** A frontend's session as the stratum-server sees it. */
export interface LinkPeer {
  readonly sessionId: bigint;
  readonly frontendId: string;
  /** False once it ended: then `send` does nothing. */
  readonly isUp: boolean;
  /** [bytes] queued or not yet confirmed by the frontend */
  readonly pendingBytes: number;
  /**
   * Queues an item. All that is queued in one turn of the event loop goes as one message and is applied together;
   * when that is more than about a mebibyte it is cut, but never between neighbours of one connection.
   */
  send(item: DownItem): void;
  /** Sends what is queued now. */
  flush(): void;
  /** Ends the session: its connections open elsewhere. `onSessionEnded` is called. */
  end(reason: string): void;
}

/** What the server's user hears. Nothing of a session comes after its `onSessionEnded`. */
export interface LinkServerHandlers {
  onSessionOpened(session: LinkPeer): void;
  onMessage(session: LinkPeer, items: readonly UpItem[]): void;
  onSessionEnded(session: LinkPeer, reason: EndReason): void;
  /** Asked at every heartbeat: how many sessions are held, and whether new ones are taken. */
  load(): { readonly load: number; readonly accepts: boolean };
}

export interface LinkServerOptions extends LinkServerHandlers {
  readonly identity: LinkIdentity;
  readonly bindAddress: string;
  readonly advertiseAddress: string;
  readonly portRange: PortRange;
  readonly meshKeys: MeshKeys;
  readonly log: Logger;
  readonly metrics: MetricRegistry;
  /** [ms] any clock that runs evenly; default `performance.now` */
  readonly nowMs?: () => number;
}

export interface LinkServer extends AsyncDisposable {
  /** For the registry record. */
  readonly endpoint: string;
  readonly sessions: readonly LinkPeer[];
}

type Routed = readonly [route: Buffer, bytes: Buffer];

/** Binds to the first free port and serves until disposed. @throws {Error} if no port is free */
export async function createLinkServer(options: LinkServerOptions): Promise<LinkServer> {
  const { meshKeys, log, metrics } = options;
  await using acquired = new AsyncDisposableStack();
  acquired.use(await ensureZap(meshKeys, { log, metrics }));
  const router = acquired.adopt(routerOf(meshKeys), (socket) => socket.close());
  watchRefusals(router, { log, metrics });
  const port = await bindInRange(router, options.bindAddress, options.portRange);
  const queue: SendQueue<Routed> = new SendQueue<Routed>({
    send: (frames) => router.send([...frames]),
    capacity: QUEUE_MESSAGES_MAX,
    bytesMax: QUEUE_BYTES_MAX,
    sizeOf: ([, bytes]) => bytes.length,
    overflow: 'reject',
    onFailed: (_error, [route]) => hub.lose(route.toString('latin1'), 'unreachable'),
  });
  acquired.use(queue);
  const hub = new LinkHub({
    ...options,
    send: (route, bytes) => queue.push([Buffer.from(route, 'latin1'), bytes]),
  });
  acquired.defer(() => queue.idle());
  acquired.use(hub);
  void receiveAll(router, hub);

  const owned = acquired.move();
  return {
    endpoint: tcpEndpoint(options.advertiseAddress, port),
    get sessions() {
      return hub.sessions;
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** No high-water mark in ZeroMQ: one frontend that hangs must not hold up the others. `Outstanding` is the bound. */
function routerOf(meshKeys: MeshKeys): Router {
  return new Router({
    ...curveServerOptions(meshKeys),
    mandatory: true,
    sendHighWaterMark: 0,
    sendTimeout: 0, // Without any peer a mandatory ROUTER would wait for one for ever.
    heartbeatInterval: HEARTBEAT_MS,
    heartbeatTimeout: SILENCE_MS,
    maxMessageSize: MESSAGE_BYTES_MAX,
    linger: HEARTBEAT_MS,
  });
}

async function receiveAll(router: Router, hub: LinkHub): Promise<void> {
  try {
    for await (const frames of router) {
      const [route, bytes] = frames;
      if (route === undefined || bytes === undefined || frames.length !== 2) continue;
      hub.receive(route.toString('latin1'), bytes);
    }
  } catch (error) {
    if (!router.closed) throw error; // Closing ends the pending receive; anything else is our bug.
  }
}
