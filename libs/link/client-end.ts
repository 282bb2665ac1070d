/** A link client without its transport: one session from hello to its end. Bytes leave by a function. */
import { randomBytes } from 'node:crypto';
import type { Registry as MetricRegistry } from '@prometheus-io/client';
import type { Logger } from 'pino';
import { LinkError } from './errors.ts';
import type { DownItem, UpItem } from './items.ts';
import { decodeLinkMessage, LINK_VERSIONS } from './link-codec.ts';
import type { LinkClient, LinkClientHandlers } from './link-client.ts';
import { type LinkMetrics, linkMetricsIn } from './link-metrics.ts';
import { type EndReason, greet, type LinkIdentity, type Next } from './link-session.ts';
import { HEARTBEAT_MS } from './limits.ts';
import { LivingSession } from './living-session.ts';

export interface ClientEndOptions extends LinkClientHandlers {
  readonly identity: LinkIdentity;
  readonly server: LinkIdentity;
  /** False: the transport takes no more. */
  readonly send: (bytes: Buffer) => boolean;
  /** Closes the transport: called once, at the end of the session. */
  readonly close: () => void;
  readonly log: Logger;
  readonly metrics: MetricRegistry;
  readonly nowMs?: () => number;
}

export class ClientEnd implements LinkClient {
  readonly #options: ClientEndOptions;
  readonly #metrics: LinkMetrics;
  readonly #session: LivingSession<DownItem, UpItem>;
  readonly #first: Next;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: ClientEndOptions) {
    this.#options = options;
    this.#metrics = linkMetricsIn(options.metrics);
    const nowMs = options.nowMs ?? (() => performance.now());
    const id = randomBytes(8).readBigUInt64LE();
    this.#first = greet(id, options.identity, options.server, LINK_VERSIONS, nowMs());
    this.#session = new LivingSession(this.#first, {
      send: options.send,
      handlers: {
        onOpened: () => options.onUp(),
        onItems: (items) => options.onItems(items),
        onHeard: (load, accepts) => options.onHeartbeat({ load, accepts }),
        onEnded: (reason) => this.#finish(reason),
      },
      nowMs,
      log: options.log,
      metrics: this.#metrics,
    });
  }

  /** Says hello. */
  begin(): void {
    this.#timer = setInterval(() => this.#session.tick(0, false), HEARTBEAT_MS);
    this.#session.begin(this.#first);
  }

  get isUp(): boolean {
    return this.#session.isUp;
  }

  get isCongested(): boolean {
    return this.#session.isCongested;
  }

  get pendingBytes(): number {
    return this.#session.pendingBytes;
  }

  send(item: UpItem): void {
    this.#session.queue(item);
  }

  flush(): void {
    this.#session.flush();
  }

  receive(bytes: Uint8Array): void {
    this.#metrics.bytes.inc({ direction: 'received' }, bytes.length);
    try {
      this.#session.receive(decodeLinkMessage(bytes));
    } catch (error) {
      if (!(error instanceof LinkError)) throw error;
      this.#session.receiveMalformed(error);
    }
  }

  /** The transport says that the server is gone. */
  lose(reason: EndReason): void {
    this.#session.end(reason);
  }

  /** Ends the session if it lives (`onEnded` is called) and frees the socket. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#session.end('closed');
  }

  #finish(reason: EndReason): void {
    clearInterval(this.#timer);
    this.#options.close();
    this.#options.onEnded(reason);
  }
}
