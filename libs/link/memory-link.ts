/**
 * The link within one process, for unit tests of the services: the same sessions and the same bytes, without sockets.
 * Held to the same suite as the ZeroMQ one (`link-contract.ts`).
 */
import { ClientEnd } from './client-end.ts';
import type { LinkClient, LinkClientOptions } from './link-client.ts';
import { LinkHub } from './link-hub.ts';
import type { LinkServer, LinkServerOptions } from './link-server.ts';

type Unsecured = 'meshKeys' | 'bindAddress' | 'advertiseAddress' | 'portRange';
type MemoryServerOptions = Omit<LinkServerOptions, Unsecured>;
type MemoryClientOptions = Omit<LinkClientOptions, 'meshKeys'>;

export interface MemoryLink {
  createServer(options: MemoryServerOptions): LinkServer;
  createClient(options: MemoryClientOptions): LinkClient;
  /** While true nothing arrives any more, in neither direction, and nobody is told: a cable cut, a frozen peer. */
  isCut: boolean;
  /** Ends all connections as the death of a server's process does: clients are told, its hub hears nothing more. */
  kill(endpoint: string): void;
}

interface Wire {
  readonly endpoint: string;
  readonly client: ClientEnd;
  isOpen: boolean;
}

export function createMemoryLink(): MemoryLink {
  const hubs = new Map<string, LinkHub>();
  const wires = new Map<string, Wire>();
  let isCut = false;
  let made = 0;

  /** Arrives later, in order, as from a socket. */
  function deliver(wire: Wire, arrive: () => void): boolean {
    queueMicrotask(() => {
      if (!isCut && wire.isOpen) arrive();
    });
    return true;
  }

  function createServer(options: MemoryServerOptions): LinkServer {
    const endpoint = `memory://${(made += 1)}`;
    const hub: LinkHub = new LinkHub({
      ...options,
      send: (route, bytes) => {
        const wire = wires.get(route);
        if (wire?.isOpen !== true) return false;
        return deliver(wire, () => wire.client.receive(bytes));
      },
    });
    hubs.set(endpoint, hub);
    return {
      endpoint,
      get sessions() {
        return hub.sessions;
      },
      async [Symbol.asyncDispose]() {
        hub[Symbol.dispose]();
        hubs.delete(endpoint);
      },
    };
  }

  function createClient(options: MemoryClientOptions): LinkClient {
    const { endpoint } = options.server;
    const route = String((made += 1));
    const client: ClientEnd = new ClientEnd({
      ...options,
      send: (bytes) => deliver(wire, () => hubs.get(endpoint)?.receive(route, bytes)),
      close: () => queueMicrotask(() => wires.delete(route)), // After its `bye`.
    });
    const wire: Wire = { endpoint, client, isOpen: true };
    wires.set(route, wire);
    queueMicrotask(() => client.begin());
    return client;
  }

  function kill(endpoint: string): void {
    hubs.delete(endpoint);
    for (const wire of wires.values()) {
      if (wire.endpoint !== endpoint) continue;
      wire.isOpen = false;
      queueMicrotask(() => wire.client.lose('disconnected'));
    }
  }

  return {
    createServer,
    createClient,
    kill,
    get isCut() {
      return isCut;
    },
    set isCut(value) {
      isCut = value;
    },
  };
}
