/** The sessions of a link server, by route. Knows no transport: bytes leave by a function. */
import type { Registry as MetricRegistry } from '@prometheus-io/client';
import type { Logger } from 'pino';
import { LinkError } from './errors.ts';
import type { DownItem, LinkMessage, UpItem } from './items.ts';
import { decodeLinkMessage, encodeLinkMessage, LINK_VERSIONS } from './link-codec.ts';
import { type LinkMetrics, linkMetricsIn } from './link-metrics.ts';
import type { LinkPeer, LinkServerHandlers } from './link-server.ts';
import { type EndReason, type LinkIdentity, welcome } from './link-session.ts';
import { HEARTBEAT_MS } from './limits.ts';
import { LivingSession } from './living-session.ts';

/** [sessions] at a time; who has the mesh secret is trusted, but a loop of reconnects must not eat the memory */
const SESSIONS_MAX = 1_024;

export interface LinkHubOptions extends LinkServerHandlers {
  readonly identity: LinkIdentity;
  /** False: the transport takes no more. */
  readonly send: (route: string, bytes: Buffer) => boolean;
  readonly log: Logger;
  readonly metrics: MetricRegistry;
  readonly nowMs?: () => number;
}

type ServerSession = LivingSession<UpItem, DownItem>;

export class LinkHub implements Disposable {
  readonly #options: LinkHubOptions;
  readonly #metrics: LinkMetrics;
  readonly #nowMs: () => number;
  readonly #byRoute = new Map<
    string,
    { readonly session: ServerSession; readonly peer: LinkPeer }
  >();
  readonly #timer: NodeJS.Timeout;

  constructor(options: LinkHubOptions) {
    this.#options = options;
    this.#metrics = linkMetricsIn(options.metrics);
    this.#nowMs = options.nowMs ?? (() => performance.now());
    this.#timer = setInterval(() => this.#tick(), HEARTBEAT_MS);
  }

  get sessions(): readonly LinkPeer[] {
    return [...this.#byRoute.values()].map(({ peer }) => peer);
  }

  /** Takes one message of a route. */
  receive(route: string, bytes: Uint8Array): void {
    this.#metrics.bytes.inc({ direction: 'received' }, bytes.length);
    const message = this.#decode(route, bytes);
    if (message === undefined) return;
    const known = this.#byRoute.get(route);
    if (message.kind === 'hello' && known?.session.id !== message.session)
      return this.#open(route, message);
    if (known !== undefined && known.session.id === message.session)
      return known.session.receive(message);
    this.#metrics.stale.inc();
    if (message.kind !== 'bye') this.#sayBye(route, message.session, 'unknown session');
  }

  /** The transport says that nobody is behind a route any more. */
  lose(route: string, reason: EndReason): void {
    this.#byRoute.get(route)?.session.end(reason);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    for (const { session } of this.#byRoute.values()) session.end('closed');
  }

  #decode(route: string, bytes: Uint8Array): LinkMessage | undefined {
    try {
      return decodeLinkMessage(bytes);
    } catch (error) {
      if (!(error instanceof LinkError)) throw error;
      const known = this.#byRoute.get(route);
      if (known === undefined) this.#metrics.malformed.inc();
      else known.session.receiveMalformed(error);
      return undefined;
    }
  }

  #open(route: string, hello: Extract<LinkMessage, { kind: 'hello' }>): void {
    this.#supersede(route, hello.frontendId);
    if (this.#byRoute.size >= SESSIONS_MAX)
      return this.#sayBye(route, hello.session, 'too many sessions');
    const options = this.#options;
    const first = welcome(hello, options.identity, LINK_VERSIONS, this.#nowMs());
    const session: ServerSession = new LivingSession(first, {
      send: (bytes) => options.send(route, bytes),
      handlers: {
        onOpened: () => {
          this.#byRoute.set(route, { session, peer });
          options.onSessionOpened(peer);
          this.#beat(session); // So that a frontend knows our load before the first heartbeat is due.
        },
        onItems: (items) => options.onMessage(peer, items),
        onHeard: () => undefined,
        onEnded: (reason) => {
          if (this.#byRoute.get(route)?.session !== session) return; // It never opened.
          this.#byRoute.delete(route);
          options.onSessionEnded(peer, reason);
        },
      },
      nowMs: this.#nowMs,
      log: options.log,
      metrics: this.#metrics,
    });
    const peer = peerOf(session);
    session.begin(first);
  }

  /** A frontend has one session: a new one means that the old one is over, whatever the transport thinks. */
  #supersede(route: string, frontendId: string): void {
    for (const [otherRoute, { session }] of this.#byRoute) {
      if (otherRoute === route || session.peerId === frontendId) session.end('superseded');
    }
  }

  #sayBye(route: string, session: bigint, reason: string): void {
    this.#options.send(route, encodeLinkMessage({ kind: 'bye', session, reason }));
  }

  #tick(): void {
    for (const { session } of [...this.#byRoute.values()]) this.#beat(session);
  }

  #beat(session: ServerSession): void {
    session.flush(); // Counters speak of what was sent.
    const { load, accepts } = this.#options.load();
    session.tick(load, accepts);
  }
}

function peerOf(session: ServerSession): LinkPeer {
  return {
    get sessionId() {
      return session.id;
    },
    get frontendId() {
      return session.peerId;
    },
    get isUp() {
      return session.isUp;
    },
    get pendingBytes() {
      return session.pendingBytes;
    },
    send: (item) => session.queue(item),
    flush: () => session.flush(),
    end: (reason) => session.end('closed', reason),
  };
}
