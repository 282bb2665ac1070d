/**
 * All connections and all servers of a frontend: which is where, and what a message of a server means for each. Performs
 * the effects of `connection.ts` on ports; no socket, no clock.
 *
 * Note [A message is one step]
 * All items of a link message are applied before the first byte of it is written: an answer, its acknowledgement and the
 * capsule change it made hold together, and a keeper could be told before the answer goes out.
 */
import type { DownItem, UpItem } from '#libs/link/items.ts';
import { createConnection, step, type Surroundings, wantsServer } from './connection.ts';
import { Groups } from './groups.ts';
import type { ConnectionLimits } from './limits.ts';
import { Listening } from './listening.ts';
import type {
  Connection,
  ConnectionEvent,
  ConnectionFacts,
  Counted,
  Effect,
  ServerKey,
} from './model.ts';
import { pickServer, planMoves, type ServerLoad } from './placement.ts';

/** What the switchboard has done by sockets and links. */
export interface Ports {
  send(server: ServerKey, item: UpItem): void;
  write(handle: number, bytes: Uint8Array): void;
  setReading(handle: number, on: boolean): void;
  /** FIN after what was written. */
  sayFin(handle: number): void;
  destroy(handle: number): void;
  /** True while too much waits for this server. */
  isCongested(server: ServerKey): boolean;
  closed(connection: Connection, reason: string): void;
  count(what: Counted, by: number): void;
  placed(connection: Connection): void;
  moved(count: number): void;
}

export interface SwitchboardOptions {
  readonly limits: ConnectionLimits;
  /** [bytes] of unacknowledged lines over all connections; above it reading stops until half of it is gone */
  readonly heldBytesMax: number;
  readonly ports: Ports;
  /** 0 <= x < 1 */
  readonly random: () => number;
}

interface Server {
  readonly key: ServerKey;
  load: number;
  accepts: boolean;
  readonly connections: Set<Connection>;
}

/** Sums over all connections, taken at each tick. */
export interface Totals {
  readonly connections: number;
  readonly held: number;
  readonly unacknowledgedLines: number;
  readonly unacknowledgedBytes: number;
  readonly capsuleBytes: number;
  readonly outBytes: number;
  readonly paused: number;
}

/** [connections] moved for evenness in one slice: this part of all, at least so many */
const MOVE_PART = 0.04;
const MOVE_MIN = 16;
const NO_BYTES = new Uint8Array(0);

export class Switchboard {
  readonly #limits: ConnectionLimits;
  readonly #options: SwitchboardOptions;
  readonly #ports: Ports;
  readonly #connections = new Map<number, Connection>();
  readonly #servers = new Map<ServerKey, Server>();
  readonly #groups = new Groups();
  readonly #listening: Listening;
  /** Connections that want a server, oldest want first. */
  readonly #waiting = new Set<Connection>();
  /** Connections the current message touched. */
  readonly #dirty = new Set<Connection>();
  #isHoldingTooMuch = false;
  #nowMs = 0;
  readonly #around: Surroundings;

  constructor(options: SwitchboardOptions) {
    this.#options = options;
    this.#limits = options.limits;
    this.#ports = options.ports;
    this.#listening = new Listening(options.limits.holdMs);
    const nowMs = () => this.#nowMs;
    this.#around = {
      limits: options.limits,
      get nowMs() {
        return nowMs();
      },
      isPressed: (server) => this.#isPressed(server),
    };
  }

  get size(): number {
    return this.#connections.size;
  }

  /** [connections] that want a server */
  get waitingCount(): number {
    return this.#waiting.size;
  }

  get groupCount(): number {
    return this.#groups.size;
  }

  connection(handle: number): Connection | undefined {
    return this.#connections.get(handle);
  }

  /** A miner is there: its header is read, its lines may come. */
  accept(facts: ConnectionFacts): Connection {
    const connection = createConnection(facts, this.#limits);
    this.#connections.set(facts.handle, connection);
    return connection;
  }

  /** Handles of those that may be handed over, in no order. */
  handles(): IterableIterator<number> {
    return this.#connections.keys();
  }

  /** Takes a connection off its server and out of here: nothing of it is answered any more. */
  detach(handle: number, nowMs: number): Connection | undefined {
    this.#nowMs = nowMs;
    const connection = this.#connections.get(handle);
    if (connection === undefined) return undefined;
    this.#step(connection, { kind: 'handed_over' });
    this.#connections.delete(handle);
    this.#waiting.delete(connection);
    this.#dirty.delete(connection);
    return connection;
  }

  /** A connection from another frontend, or one that was detached. Call {@link placeWaiting} afterwards. */
  attach(connection: Connection, nowMs: number): void {
    this.#nowMs = nowMs;
    this.#connections.set(connection.facts.handle, connection);
    if (wantsServer(connection)) {
      connection.heldSinceMs ??= nowMs;
      this.#waiting.add(connection);
    }
    this.#step(connection, { kind: 'bytes', bytes: NO_BYTES }); // Lines may wait in its input.
  }

  /** Something happened to a connection's socket. */
  take(handle: number, event: ConnectionEvent, nowMs: number): void {
    this.#nowMs = nowMs;
    const connection = this.#connections.get(handle);
    if (connection !== undefined) this.#step(connection, event);
  }

  /** A link session is up: its server takes nothing until a heartbeat says so. */
  addServer(key: ServerKey): void {
    this.#servers.set(key, { key, load: 0, accepts: false, connections: new Set() });
  }

  hear(key: ServerKey, load: number, accepts: boolean): void {
    const server = this.#servers.get(key);
    if (server === undefined) return;
    server.load = load;
    server.accepts = accepts;
  }

  /** A link session is over, for whatever reason: its connections want another. Call {@link placeWaiting} afterwards. */
  removeServer(key: ServerKey, nowMs: number): void {
    this.#nowMs = nowMs;
    const server = this.#servers.get(key);
    if (server === undefined) return;
    this.#servers.delete(key);
    this.#groups.forget(key);
    this.#listening.lose(key, nowMs);
    for (const connection of [...server.connections]) this.#stepUnplaced(connection);
  }

  /** Applies one message of a server. See Note [A message is one step]. */
  apply(key: ServerKey, items: readonly DownItem[], nowMs: number): void {
    this.#nowMs = nowMs;
    if (!this.#servers.has(key)) return;
    for (const item of items) this.#applyOne(key, item);
    for (const connection of this.#dirty) this.#step(connection, { kind: 'flush' });
    this.#dirty.clear();
  }

  /** Places up to `max` connections that wait. Returns how many more could be tried. */
  placeWaiting(max: number, nowMs: number): number {
    this.#nowMs = nowMs;
    let left = this.#waiting.size;
    let tries = max;
    const full = new Set<string>(); // Listeners without a server: no need to try each connection.
    for (const connection of [...this.#waiting]) {
      if (tries === 0) return left;
      left -= 1;
      const { listener } = connection.facts;
      if (full.has(listener)) continue;
      if (this.#place(connection, undefined)) tries -= 1;
      else full.add(listener);
    }
    return 0;
  }

  /** Looks at the clock for every connection. Returns sums for the metrics. */
  tick(nowMs: number): Totals {
    this.#nowMs = nowMs;
    for (const connection of [...this.#connections.values()])
      this.#step(connection, { kind: 'tick' });
    const totals = this.#totals();
    const { heldBytesMax } = this.#options;
    const bound = this.#isHoldingTooMuch ? heldBytesMax / 2 : heldBytesMax;
    this.#isHoldingTooMuch = totals.unacknowledgedBytes > bound;
    return totals;
  }

  /** Moves a slice of connections to a server that has far less than its part. */
  rebalance(nowMs: number): void {
    this.#nowMs = nowMs;
    const countMax = Math.max(MOVE_MIN, Math.ceil(this.#connections.size * MOVE_PART));
    for (const { from, to, count } of planMoves(
      [...this.#servers.values()].map(loadOf),
      countMax,
    )) {
      this.#ports.moved(this.#move(from, to, count));
    }
  }

  /** The listeners that some server has work for. */
  listenersUp(nowMs: number): ReadonlySet<string> {
    return this.#listening.up(nowMs);
  }

  #isPressed(server: ServerKey | undefined): boolean {
    return this.#isHoldingTooMuch || (server !== undefined && this.#ports.isCongested(server));
  }

  #applyOne(key: ServerKey, item: DownItem): void {
    switch (item.kind) {
      case 'cast':
        return this.#applyCast(key, item);
      case 'listen':
        return this.#listening.say(key, item.listener, item.isUp);
      default:
        return this.#applyItem(key, item);
    }
  }

  #applyItem(key: ServerKey, item: Exclude<DownItem, { kind: 'cast' } | { kind: 'listen' }>): void {
    const connection = this.#connections.get(item.handle);
    if (connection === undefined) return this.#ports.count('stale_items', 1);
    this.#step(connection, { kind: 'item', server: key, item });
    this.#dirty.add(connection);
  }

  /** One copy for all: the bytes lie in the message, which may be big. */
  #applyCast(key: ServerKey, item: Extract<DownItem, { kind: 'cast' }>): void {
    const members = this.#groups.members(key, item.group);
    if (members.size === 0) return;
    const { group, replaces } = item;
    const cast = {
      server: key,
      group,
      replaces,
      bytes: Buffer.from(item.bytes),
      mark: Uint8Array.from(item.mark),
    };
    const event: ConnectionEvent = { kind: 'cast', cast };
    for (const connection of [...members]) {
      this.#step(connection, event);
      this.#dirty.add(connection);
    }
  }

  #step(connection: Connection, event: ConnectionEvent): void {
    for (const effect of step(connection, event, this.#around)) this.#perform(connection, effect);
  }

  /** As `unplaced`, but placed later, in slices: thousands at once would hold up the event loop. */
  #stepUnplaced(connection: Connection): void {
    for (const effect of step(connection, { kind: 'unplaced' }, this.#around)) {
      if (effect.kind === 'place') this.#waiting.add(connection);
      else this.#perform(connection, effect);
    }
  }

  #perform(connection: Connection, effect: Effect): void {
    const { handle } = connection.facts;
    switch (effect.kind) {
      case 'send':
        return this.#ports.send(effect.server, effect.item);
      case 'place':
        return void this.#place(connection, effect.avoid);
      case 'join':
        return this.#groups.join(effect.server, effect.group, connection);
      case 'leave':
        return this.#groups.leave(effect.server, effect.group, connection);
      case 'left':
        return this.#leave(connection, effect.server);
      case 'read':
        return this.#ports.setReading(handle, effect.on);
      case 'write':
        return this.#ports.write(handle, effect.bytes);
      case 'fin':
        return this.#ports.sayFin(handle);
      case 'destroy':
        return this.#ports.destroy(handle);
      case 'closed':
        return this.#forget(connection, effect.reason);
      case 'count':
        return this.#ports.count(effect.what, effect.by);
    }
  }

  /** True if a server took it. Otherwise it waits. */
  #place(connection: Connection, avoid: ServerKey | undefined): boolean {
    if (!wantsServer(connection)) return this.#waiting.delete(connection);
    const key = pickServer(this.#serversFor(connection), this.#options.random, avoid);
    if (key !== undefined) return this.#placeOn(connection, key);
    this.#waiting.add(connection);
    return false;
  }

  #placeOn(connection: Connection, key: ServerKey): boolean {
    const server = this.#servers.get(key);
    if (server === undefined) return false;
    this.#waiting.delete(connection);
    server.connections.add(connection);
    server.load += 1;
    this.#step(connection, { kind: 'placed', server: key });
    this.#ports.placed(connection);
    return true;
  }

  #serversFor({ facts }: Connection): readonly ServerLoad[] {
    const servers: ServerLoad[] = [];
    for (const server of this.#servers.values()) {
      if (this.#listening.takes(server.key, facts.listener)) servers.push(loadOf(server));
    }
    return servers;
  }

  #leave(connection: Connection, key: ServerKey): void {
    const server = this.#servers.get(key);
    if (server?.connections.delete(connection) !== true) return;
    server.load = Math.max(0, server.load - 1);
  }

  /** Moves those that wait for no answer: for the others it would be work done twice. */
  #move(from: ServerKey, to: ServerKey, count: number): number {
    let moved = 0;
    for (const connection of [...(this.#servers.get(from)?.connections ?? [])]) {
      if (moved === count) break;
      const isQuiet = connection.unacknowledged.length === 0 && connection.phase === 'live';
      if (!isQuiet || !this.#listening.takes(to, connection.facts.listener)) continue;
      for (const effect of step(connection, { kind: 'moved_away' }, this.#around)) {
        if (effect.kind === 'place') this.#placeOn(connection, to);
        else this.#perform(connection, effect);
      }
      moved += 1;
    }
    return moved;
  }

  #forget(connection: Connection, reason: string): void {
    this.#connections.delete(connection.facts.handle);
    this.#waiting.delete(connection);
    this.#ports.closed(connection, reason);
  }

  #totals(): Totals {
    let [unacknowledgedLines, unacknowledgedBytes, capsuleBytes, outBytes, paused] = [
      0, 0, 0, 0, 0,
    ];
    for (const connection of this.#connections.values()) {
      unacknowledgedLines += connection.unacknowledged.length;
      unacknowledgedBytes += connection.unacknowledgedBytes + connection.input.heldBytes;
      capsuleBytes += connection.capsule.length;
      outBytes += connection.outbox.bytes + (connection.inFlight?.bytes ?? 0);
      if (!connection.isReading) paused += 1;
    }
    const [connections, held] = [this.#connections.size, this.#waiting.size];
    return {
      connections,
      held,
      unacknowledgedLines,
      unacknowledgedBytes,
      capsuleBytes,
      outBytes,
      paused,
    };
  }
}

function loadOf({ key, load, accepts, connections }: Server): ServerLoad {
  return { key, load, accepts, ours: connections.size };
}
