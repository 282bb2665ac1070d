/**
 * The bus in one process, for unit tests of wiring: same core, same bytes, same contract suite as `zeromq-bus.ts`,
 * no socket. Everything arrives in a later microtask, never during the call that sent it.
 */
import { Registry } from '@prometheus-io/client';
import { type Logger, pino } from 'pino';
import type { Bus, BusPeer } from './bus.ts';
import { BusCore, type BusSelf } from './bus-core.ts';
import type { Frames } from './frame.ts';
import type { Channel, ChannelEvents, Transport } from './transport.ts';

/** [ms] short: a test waits for a beat */
const BEAT_MS = 20;

export interface MemoryJoin extends BusSelf {
  readonly isReady?: boolean;
  readonly log?: Logger;
  readonly metrics?: Registry;
  readonly nowMs?: () => number;
}

export interface MemoryBus extends Bus {
  /** This process as a peer of others. */
  readonly asPeer: BusPeer;
}

/** Processes that can reach each other. */
export interface MemoryMesh {
  /** A new process on the bus; its peers are all others, unless the mesh was made with `autoConnect: false`. */
  join(options: MemoryJoin): MemoryBus;
  /** Changes whether `any` calls may go there. */
  setReady(bootId: string, isReady: boolean): void;
  /** The process dies: its connections break, nothing is said. */
  kill(bootId: string): void;
  /** Loses the next publications (not beats) of this process to all who hear it. */
  loseNext(bootId: string, publications: number): void;
  /** Sends raw frames to a process as a request or a publication of another would come. */
  inject(
    kind: 'request' | 'publication',
    fromBootId: string,
    toBootId: string,
    frames: Frames,
  ): void;
}

export function createMemoryMesh({ autoConnect = true } = {}): MemoryMesh {
  const members = new Map<string, Member>();
  const wire: Wire = {
    find: (bootId) => members.get(bootId)?.transport,
    all: () => [...members.values()].map((m) => m.transport),
  };

  function connectAll(): void {
    if (!autoConnect) return;
    const peers = [...members.values()].map(({ peer }) => peer);
    for (const { bus } of members.values()) bus.setPeers(peers);
  }
  function leave(bootId: string): void {
    members.get(bootId)?.transport.cut();
    members.delete(bootId);
  }
  return {
    join({
      role,
      id,
      bootId,
      isReady = true,
      log = pino({ level: 'silent' }),
      metrics = new Registry(),
      nowMs = () => performance.now(),
    }) {
      const transport = new MemoryTransport(bootId, wire, () => leave(bootId));
      const core = new BusCore(transport, {
        self: { role, id, bootId },
        log,
        metrics,
        nowMs,
        beatMs: BEAT_MS,
      });
      const { pub: pubEndpoint, rpc: rpcEndpoint } = transport.endpoints;
      const peer: BusPeer = {
        role,
        id,
        bootId,
        isReady,
        pubEndpoint,
        rpcEndpoint,
        serverKeyId: 'memory',
      };
      members.set(bootId, { bus: core, transport, peer });
      connectAll();
      return Object.assign(core, { asPeer: peer });
    },
    setReady(bootId, isReady) {
      const member = members.get(bootId);
      if (member !== undefined)
        members.set(bootId, { ...member, peer: { ...member.peer, isReady } });
      connectAll();
    },
    kill: leave,
    loseNext: (bootId, publications) => members.get(bootId)?.transport.loseNext(publications),
    inject(kind, fromBootId, toBootId, frames) {
      const to = members.get(toBootId)?.transport;
      if (kind === 'request') to?.receiveRequest(frames, () => undefined);
      else to?.receivePublication(fromBootId, frames);
    },
  };
}

interface Member {
  readonly bus: Bus;
  readonly transport: MemoryTransport;
  readonly peer: BusPeer;
}

interface Wire {
  find(bootId: string): MemoryTransport | undefined;
  all(): readonly MemoryTransport[];
}

class MemoryTransport implements Transport {
  readonly endpoints: Transport['endpoints'];
  readonly queueLengths = {};
  readonly #bootId: string;
  readonly #wire: Wire;
  readonly #leave: () => void;
  readonly #prefixes = new Set<string>();
  readonly #channels = new Set<MemoryChannel>();
  #onRequest: (frames: Frames, reply: (frames: Frames) => void) => void = () => undefined;
  #toLose = 0;
  #isCut = false;

  constructor(bootId: string, wire: Wire, leave: () => void) {
    this.#bootId = bootId;
    this.#wire = wire;
    this.#leave = leave;
    this.endpoints = { pub: `memory://${bootId}/pub`, rpc: `memory://${bootId}/rpc` };
  }

  listen(onRequest: (frames: Frames, reply: (frames: Frames) => void) => void): void {
    this.#onRequest = onRequest;
  }

  publish(frames: Frames): void {
    if (this.#isCut || this.#isLost(frames)) return;
    for (const hearer of this.#wire.all()) hearer.receivePublication(this.#bootId, frames);
  }

  subscribe(prefix: string): void {
    this.#prefixes.add(prefix);
  }

  unsubscribe(prefix: string): void {
    this.#prefixes.delete(prefix);
  }

  connect(peer: BusPeer, events: ChannelEvents): Channel {
    const channel = new MemoryChannel(peer.bootId, events, {
      send: (frames, reply) => {
        const to = this.#isCut ? undefined : this.#wire.find(peer.bootId);
        to?.receiveRequest(frames, reply);
        return true; // A dead peer's requests are lost, as on a wire.
      },
      onClosed: () => this.#channels.delete(channel),
    });
    this.#channels.add(channel);
    return channel;
  }

  receiveRequest(frames: Frames, reply: (frames: Frames) => void): void {
    queueMicrotask(() => {
      if (!this.#isCut) this.#onRequest(frames, (answer) => this.#isCut || reply(answer));
    });
  }

  receivePublication(fromBootId: string, frames: Frames): void {
    const topic = String(frames[0] === undefined ? '' : Buffer.from(frames[0]));
    const isHeard = [...this.#prefixes].some((prefix) => topic.startsWith(prefix));
    if (!isHeard) return;
    for (const channel of this.#channels) {
      if (channel.bootId === fromBootId) channel.later((events) => events.onPublication(frames));
    }
  }

  loseNext(publications: number): void {
    this.#toLose = publications;
  }

  /** As a kill: nothing is sent or received any more, and others notice. */
  cut(): void {
    if (this.#isCut) return;
    this.#isCut = true;
    for (const other of this.#wire.all()) {
      for (const channel of other.#channels) {
        if (channel.bootId === this.#bootId) channel.later((events) => events.onBroken());
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.resolve();
    this.#leave();
  }

  #isLost(frames: Frames): boolean {
    const isBeat = frames.length < 3;
    if (isBeat || this.#toLose === 0) return false;
    this.#toLose -= 1;
    return true;
  }
}

interface MemoryChannelOptions {
  readonly send: (frames: Frames, reply: (frames: Frames) => void) => boolean;
  readonly onClosed: () => void;
}

class MemoryChannel implements Channel {
  readonly bootId: string;
  readonly #events: ChannelEvents;
  readonly #options: MemoryChannelOptions;
  #isClosed = false;

  constructor(bootId: string, events: ChannelEvents, options: MemoryChannelOptions) {
    this.bootId = bootId;
    this.#events = events;
    this.#options = options;
    this.later((events) => events.onOpened());
  }

  send(frames: Frames): boolean {
    if (this.#isClosed) return false;
    return this.#options.send(frames, (answer) => this.later((events) => events.onReply(answer)));
  }

  /** Tells the owner something in a later microtask, unless the channel was closed by then. */
  later(tell: (events: ChannelEvents) => void): void {
    queueMicrotask(() => {
      if (!this.#isClosed) tell(this.#events);
    });
  }

  [Symbol.dispose](): void {
    this.#isClosed = true;
    this.#options.onClosed();
  }
}
