/** Which connections this process holds, by frontend and handle, and whose extranonce1 is whose. No protocol. */
import type { ConnectionRef } from '#libs/link/items.ts';
import type { LinkPeer } from '#libs/link/link-server.ts';
import { type ExtranonceAllocator, extranonce1Hex } from '#libs/mining/extranonce.ts';
import type { Metrics } from '../metrics.ts';
import type { Connection } from './connection.ts';

/** Why a connection is no longer ours: its miner left, or another server has it. */
export type Departure = 'closed' | 'moved';

/** [hex digits] of an extranonce1 without the padding some miners get */
export const EXTRANONCE1_HEX = 8;

export class SessionTable {
  readonly #allocator: ExtranonceAllocator;
  readonly #metrics: Metrics;
  readonly #nowMs: () => number;
  readonly #onAdopted: (extranonce1: number) => void;
  readonly #byPeer = new Map<LinkPeer, Map<number, Connection>>();
  readonly #byExtranonce1 = new Map<number, Connection>();
  #size = 0;

  /** @param onAdopted hears of every value that came with a session */
  constructor(
    allocator: ExtranonceAllocator,
    metrics: Metrics,
    nowMs: () => number,
    onAdopted: (extranonce1: number) => void,
  ) {
    this.#allocator = allocator;
    this.#metrics = metrics;
    this.#nowMs = nowMs;
    this.#onAdopted = onAdopted;
  }

  get size(): number {
    return this.#size;
  }

  get peers(): Iterable<LinkPeer> {
    return this.#byPeer.keys();
  }

  *all(): Generator<Connection> {
    for (const connections of this.#byPeer.values()) yield* connections.values();
  }

  addPeer(peer: LinkPeer): void {
    this.#byPeer.set(peer, new Map());
  }

  /** @returns the connections the frontend had: they open elsewhere */
  removePeer(peer: LinkPeer): readonly Connection[] {
    const connections = [...(this.#byPeer.get(peer)?.values() ?? [])];
    for (const connection of connections) this.remove(connection, 'moved');
    this.#byPeer.delete(peer);
    return connections;
  }

  /** The connection an item is for; undefined if it is gone or the item is of an older opening. */
  find(peer: LinkPeer, { handle, opening }: ConnectionRef): Connection | undefined {
    const connection = this.#byPeer.get(peer)?.get(handle);
    return connection?.ref.opening === opening ? connection : undefined;
  }

  /** Whatever opening of that handle there is. */
  holder(peer: LinkPeer, handle: number): Connection | undefined {
    return this.#byPeer.get(peer)?.get(handle);
  }

  add(connection: Connection): void {
    this.#byPeer.get(connection.peer)?.set(connection.ref.handle, connection);
    connection.chain.connections.add(connection);
    this.#size += 1;
    this.#count(connection);
  }

  remove(connection: Connection, departure: Departure): void {
    if (connection.isClosed) return;
    connection.isClosed = true;
    const connections = this.#byPeer.get(connection.peer);
    if (connections?.get(connection.ref.handle) === connection)
      connections.delete(connection.ref.handle);
    connection.chain.connections.delete(connection);
    this.#size -= 1;
    this.#count(connection);
    this.#freeExtranonce1(connection, departure);
  }

  /** Gives a new connection a value of its own, as 8 hex digits; undefined: none is left. */
  allocateExtranonce1(connection: Connection): string | undefined {
    const value = this.#allocator.allocate(this.#nowMs());
    if (value === undefined) return undefined;
    connection.extranonce1 = value;
    this.#byExtranonce1.set(value, connection);
    return extranonce1Hex(value);
  }

  /**
   * A session came with its value. Whoever has it here is an older opening of it, or its lost connection: removed.
   *
   * @returns that other connection
   */
  adoptExtranonce1(connection: Connection, extranonce1: string): Connection | undefined {
    const value = valueOf(extranonce1);
    const other = this.#byExtranonce1.get(value);
    if (other !== undefined) this.remove(other, 'moved');
    this.#allocator.adopt(value);
    connection.extranonce1 = value;
    this.#byExtranonce1.set(value, connection);
    this.#onAdopted(value);
    return other;
  }

  /** The connection here whose extranonce1 is this, as miners are told it. */
  withExtranonce1(extranonce1: string): Connection | undefined {
    return this.#byExtranonce1.get(valueOf(extranonce1));
  }

  #freeExtranonce1(connection: Connection, departure: Departure): void {
    const { extranonce1 } = connection;
    if (extranonce1 === undefined || this.#byExtranonce1.get(extranonce1) !== connection) return;
    this.#byExtranonce1.delete(extranonce1);
    if (departure === 'closed') this.#allocator.close(extranonce1, this.#nowMs());
    else this.#allocator.move(extranonce1);
  }

  #count({ chain }: Connection): void {
    this.#metrics.sessions.set({ chain: chain.id }, chain.connections.size);
  }
}

/** What is behind the first 4 bytes is padding for miners with less extranonce2. */
function valueOf(extranonce1: string): number {
  return Number.parseInt(extranonce1.slice(0, EXTRANONCE1_HEX), 16);
}
