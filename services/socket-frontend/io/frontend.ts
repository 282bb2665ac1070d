/** The switchboard with its sockets, listeners, links and clock: everything of a frontend but the process around it. */
import type { Logger } from 'pino';
import type { LinkClient, LinkClientHandlers, LinkServerAddress } from '#libs/link/link-client.ts';
import type { Registry } from '#libs/registry/registry.ts';
import type { Settings } from '../config.ts';
import { Switchboard } from '../core/switchboard.ts';
import type { Metrics } from '../metrics.ts';
import { Connections } from './connections.ts';
import { Links } from './links.ts';
import { Listeners } from './listeners.ts';
import { Travel } from './travel.ts';

export interface FrontendOptions {
  readonly settings: Settings;
  readonly slot: number;
  /** Goes into ids made up for connections without HAProxy's. */
  readonly idPrefix: string;
  readonly registry: Pick<Registry, 'view' | 'watch'>;
  readonly connect: (server: LinkServerAddress, handlers: LinkClientHandlers) => LinkClient;
  readonly metrics: Metrics;
  readonly log: Logger;
  /** [ms] a clock that never goes back */
  readonly nowMs: () => number;
  readonly random: () => number;
  /** The first link is up: miners can be served. */
  readonly onFirstLink: () => void;
  readonly fatal: (error: unknown) => void;
}

export interface Frontend extends AsyncDisposable {
  /** Connections of miners. */
  readonly connectionCount: number;
  /** [connections] that could be taken over now */
  readonly room: number;
  /** Connections that come or go alive. */
  readonly travel: Travel;
  /**
   * Stops listening; resolves when no connection is left, or the signal says that it took too long.
   *
   * @param onSilent our listeners are gone: another frontend may have the slot
   */
  drain(signal: AbortSignal, onSilent: () => Promise<void>): Promise<void>;
}

/** [ms] between looks at every connection */
const TICK_MS = 250;
/** [connections] opened on servers in one turn of the event loop */
const PLACE_SLICE = 500;
/** [sockets] beyond `connectionsMax` that may come in until we have stopped listening */
const SOCKETS_OVER = 64;
/** Full at `connectionsMax`, listening again below this part of it. */
const ROOM_AGAIN_PART = 0.95;

export function createFrontend(options: FrontendOptions): Frontend {
  return new RunningFrontend(options);
}

class RunningFrontend implements Frontend {
  readonly #options: FrontendOptions;
  readonly #switchboard: Switchboard;
  readonly #connections: Connections;
  readonly #listeners: Listeners;
  readonly #links: Links;
  readonly #ticker: NodeJS.Timeout;
  readonly travel: Travel;
  #isDraining = false;
  #isFull = false;
  #isPlacing = false;
  #hadLink = false;

  constructor(options: FrontendOptions) {
    this.#options = options;
    const { settings, slot, idPrefix, registry, connect, metrics, log, nowMs, fatal, random } =
      options;
    this.#connections = new Connections({
      idPrefix,
      headerMs: settings.limits.headerMs,
      socketsMax: settings.connectionsMax + SOCKETS_OVER,
      switchboard: () => this.#switchboard,
      metrics,
      log,
      nowMs,
    });
    this.#switchboard = new Switchboard({
      limits: settings.limits,
      heldBytesMax: settings.heldBytesMax,
      random,
      ports: this.#ports(),
    });
    this.travel = new Travel({
      switchboard: this.#switchboard,
      connections: this.#connections,
      limits: settings.limits,
      metrics,
      log,
      nowMs,
      onWaiting: () => this.#placeWaiting(),
    });
    this.#listeners = new Listeners({
      folder: settings.edgeFolder,
      slot,
      accept: (socket, listener) => this.#connections.accept(socket, listener),
      onChanged: (count) => metrics.listening.set(count),
      onFailed: fatal,
      log,
    });
    this.#links = new Links({ registry, connect, metrics, log, events: this.#linkEvents() });
    this.#ticker = setInterval(() => this.#tick(), TICK_MS);
  }

  get connectionCount(): number {
    return this.#switchboard.size;
  }

  get room(): number {
    if (this.#isDraining || !this.#hadLink) return 0;
    return Math.max(0, this.#options.settings.connectionsMax - this.#connections.size);
  }

  async drain(signal: AbortSignal, onSilent: () => Promise<void>): Promise<void> {
    this.#isDraining = true;
    this.#listen();
    await this.#listeners.settled();
    await onSilent();
    const { log } = this.#options;
    log.info({ connections: this.connectionCount }, 'not listening any more, connections go on');
    while (this.#connections.size > 0 && !signal.aborted) {
      await new Promise((resolve) => setTimeout(resolve, TICK_MS));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#ticker);
    await this.#listeners[Symbol.asyncDispose]();
    this.#connections.closeAll('shutdown');
    await this.#links[Symbol.asyncDispose]();
  }

  #ports(): ConstructorParameters<typeof Switchboard>[0]['ports'] {
    const { metrics, log } = this.#options;
    const connections = this.#connections;
    return {
      send: (server, item) => this.#links.send(server, item),
      isCongested: (server) => this.#links.isCongested(server),
      write: (handle, bytes) => connections.write(handle, bytes),
      setReading: (handle, on) => connections.setReading(handle, on),
      sayFin: (handle) => connections.sayFin(handle),
      destroy: (handle) => connections.destroy(handle),
      closed: ({ facts }, reason) => {
        metrics.closed.inc({ reason });
        log.debug({ conn: facts.conn, reason }, 'connection closed');
      },
      count: (what, by) => metrics.count(what, by),
      placed: ({ opening }) => metrics.placed.inc({ kind: opening === 1 ? 'first' : 'again' }),
      moved: (count) => metrics.moved.inc(count),
    };
  }

  #linkEvents(): ConstructorParameters<typeof Links>[0]['events'] {
    const switchboard = this.#switchboard;
    const { nowMs } = this.#options;
    return {
      onUp: (server) => {
        switchboard.addServer(server);
        if (!this.#hadLink) this.#options.onFirstLink();
        this.#hadLink = true;
      },
      onItems: (server, items) => {
        switchboard.apply(server, items, nowMs());
        if (!items.some(({ kind }) => kind === 'listen')) return;
        this.#listen();
        this.#placeWaiting();
      },
      onHeartbeat: (server, { load, accepts }) => {
        switchboard.hear(server, load, accepts);
        if (switchboard.waitingCount > 0) this.#placeWaiting();
      },
      onEnded: (server) => {
        switchboard.removeServer(server, nowMs());
        this.#placeWaiting();
      },
    };
  }

  /** In slices, a turn of the event loop each: heartbeats go on meanwhile. */
  #placeWaiting(): void {
    if (this.#isPlacing) return;
    const left = this.#switchboard.placeWaiting(PLACE_SLICE, this.#options.nowMs());
    if (left === 0) return;
    this.#isPlacing = true;
    setImmediate(() => {
      this.#isPlacing = false;
      this.#placeWaiting();
    });
  }

  /** Listeners are up for which a server has work, while we take connections at all. */
  #listen(): void {
    const { settings, nowMs } = this.#options;
    const isClosed = this.#isDraining || this.#isFull;
    const known = new Set(settings.listeners);
    this.#listeners.want(
      isClosed ? new Set() : this.#switchboard.listenersUp(nowMs()).intersection(known),
    );
  }

  #tick(): void {
    const { metrics, nowMs, settings } = this.#options;
    metrics.show(this.#switchboard.tick(nowMs()), this.#switchboard.groupCount);
    this.#connections.tick();
    this.#switchboard.rebalance(nowMs());
    this.#placeWaiting();
    const bound = this.#isFull
      ? settings.connectionsMax * ROOM_AGAIN_PART
      : settings.connectionsMax;
    this.#isFull = this.#connections.size >= bound;
    this.#listen();
  }
}
