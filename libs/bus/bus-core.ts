/**
 * The bus over any transport: contracts, sequences, correlation, choice of peers. `zeromq-bus.ts` and
 * `memory-bus.ts` put it on a transport; what it guarantees is written in `bus.ts`.
 */
import type { Registry } from '@prometheus-io/client';
import type { Logger } from 'pino';
import {
  type MessageOf,
  type ReplyOf,
  type RequestOf,
  type Rpc,
  subjectOf,
  type Topic,
} from '#libs/contracts/define.ts';
import type { Role } from '#libs/contracts/instance-record.ts';
import type { Bus, BusPeer, CallOptions, Origin, Subscription, Target } from './bus.ts';
import { type BusMetrics, createBusMetrics } from './bus-metrics.ts';
import { Complaints } from './complaints.ts';
import { BusError, WireError } from './errors.ts';
import {
  decodeBody,
  decodeHeader,
  decodeReply,
  decodeRequest,
  encodeBody,
  encodeReply,
  type FrameHeader,
  type Frames,
} from './frame.ts';
import { helloSchema } from './hello.ts';
import { PeerConnection, type PeerState } from './peer-connection.ts';
import { Publisher } from './publisher.ts';
import { RpcServer } from './rpc-server.ts';
import { Subscriptions } from './subscriptions.ts';
import type { Transport } from './transport.ts';

/** [ms] between repeats of an idle publisher's sequences */
export const BEAT_MS = 250;
/** [processes] callers outside the peer list whose hello is remembered */
const STRANGERS_MAX = 1_024;

/** Who we are on the bus. */
export type BusSelf = Origin['peer'];

export interface BusCoreOptions {
  readonly self: BusSelf;
  readonly log: Logger;
  readonly metrics: Registry;
  readonly nowMs: () => number;
  readonly beatMs?: number;
}

export class BusCore implements Bus {
  readonly #self: BusSelf;
  readonly #log: Logger;
  readonly #metrics: BusMetrics;
  readonly #complaints: Complaints;
  readonly #transport: Transport;
  readonly #publisher: Publisher;
  readonly #subscriptions: Subscriptions;
  readonly #server: RpcServer;
  readonly #connections = new Map<string, PeerConnection>();
  readonly #lostListeners = new Set<(peer: BusPeer) => void>();
  readonly #strangers = new Map<string, BusSelf>();
  readonly #beat: NodeJS.Timeout;
  #turn = 0;
  #isClosed = false;

  constructor(transport: Transport, options: BusCoreOptions) {
    const { self, log, nowMs, beatMs = BEAT_MS } = options;
    this.#self = self;
    this.#log = log;
    this.#transport = transport;
    this.#metrics = createBusMetrics(options.metrics);
    this.#complaints = new Complaints(log, this.#metrics);
    this.#publisher = new Publisher(self.bootId, (frames) => transport.publish(frames));
    this.#subscriptions = new Subscriptions(transport, this.#metrics, this.#complaints);
    this.#server = new RpcServer(self.bootId, this.#metrics, this.#complaints, nowMs);
    this.#beat = setInterval(() => this.#onBeat(), beatMs).unref();
    transport.listen((frames, reply) => this.#receiveRequest(frames, reply));
  }

  get endpoints(): Bus['endpoints'] {
    return this.#transport.endpoints;
  }

  get peers(): readonly BusPeer[] {
    return [...this.#connections.values()].map(({ peer }) => peer);
  }

  publish<T extends Topic>(
    topic: T,
    key: string,
    message: MessageOf<T>,
    attachments: readonly Uint8Array[] = [],
  ): void {
    if (this.#isClosed) return;
    this.#publisher.publish(topic, key, message, attachments);
    this.#metrics.published.inc({ subject: subjectOf(topic) });
  }

  subscribe<T extends Topic>(
    topic: T,
    key: string,
    onMessage: (message: MessageOf<T>, origin: Origin) => void,
    onGap?: (peer: Origin['peer']) => void,
  ): Subscription {
    return this.#subscriptions.add(topic, key, onMessage, onGap);
  }

  serve<R extends Rpc>(
    rpc: R,
    handler: (request: RequestOf<R>, origin: Origin) => Promise<ReplyOf<R>> | ReplyOf<R>,
  ): Subscription {
    return this.#server.serve(rpc, handler);
  }

  async call<R extends Rpc>(
    target: Target,
    rpc: R,
    request: RequestOf<R>,
    options: CallOptions = {},
  ): Promise<ReplyOf<R>> {
    if (this.#isClosed) throw new BusError('aborted', subjectOf(rpc), 'the bus is closed');
    const connection = this.#choose(target);
    if (connection === undefined) {
      this.#metrics.calls.inc({ subject: subjectOf(rpc), outcome: 'no_responder' });
      throw new BusError('no_responder', subjectOf(rpc), `no ${describe(target)} is known`);
    }
    return this.#callCounted(connection, rpc, request, options);
  }

  async callAll<R extends Rpc>(
    role: Role,
    rpc: R,
    request: RequestOf<R>,
    options: CallOptions & { readonly where?: (peer: BusPeer) => boolean } = {},
  ) {
    const { where = () => true, ...callOptions } = options;
    const chosen = this.#ready(role, where);
    const results = await Promise.allSettled(
      chosen.map((connection) => this.#callCounted(connection, rpc, request, callOptions)),
    );
    return results.map((result, index) => {
      const peer = (chosen[index] as PeerConnection).peer; // One result for each chosen one.
      return { peer, result };
    });
  }

  setPeers(peers: readonly BusPeer[]): void {
    if (this.#isClosed) return;
    const wanted = new Map(peers.map((peer) => [peer.bootId, peer]));
    wanted.delete(this.#self.bootId);
    for (const [bootId, connection] of this.#connections) {
      const peer = wanted.get(bootId);
      if (peer === undefined) this.#part(connection);
      else if (!isSamePlace(connection.peer, peer)) this.#part(connection, { isSameBoot: true });
    }
    for (const peer of wanted.values()) this.#meet(peer);
    this.#countPeers();
  }

  onPeerLost(listener: (peer: BusPeer) => void): Subscription {
    const own = (peer: BusPeer) => listener(peer); // One entry a call, even for the same function.
    this.#lostListeners.add(own);
    return { [Symbol.dispose]: () => void this.#lostListeners.delete(own) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearInterval(this.#beat);
    for (const connection of this.#connections.values()) connection.abort();
    this.#connections.clear();
    await this.#transport[Symbol.asyncDispose]();
  }

  #onBeat(): void {
    this.#publisher.beat();
    for (const [queue, length] of Object.entries(this.#transport.queueLengths)) {
      this.#metrics.queued.set({ queue }, length);
    }
  }

  #meet(peer: BusPeer): void {
    const known = this.#connections.get(peer.bootId);
    if (known !== undefined) return known.update(peer);
    const connection = new PeerConnection(peer, {
      self: this.#self,
      transport: this.#transport,
      onPublication: (frames, from) => this.#subscriptions.receive(frames, from),
      onState: (changed, state, before) => this.#onState(changed, state, before),
      onForeigner: ({ role, id, bootId: expected }) => {
        this.#metrics.foreign.inc();
        this.#log.info(
          { peer: { role, id, bootId: expected } },
          'another process has the port of a peer',
        );
      },
      onMalformed: (subject, bootId, error) => this.#complaints.malformed(subject, bootId, error),
    });
    this.#connections.set(peer.bootId, connection);
  }

  #part(connection: PeerConnection, { isSameBoot = false } = {}): void {
    const { bootId } = connection.peer;
    this.#connections.delete(bootId);
    connection[Symbol.dispose]();
    if (isSameBoot) return; // Its sequences go on at the new place.
    this.#subscriptions.forget(bootId);
    this.#complaints.forget(bootId);
  }

  #onState(peer: BusPeer, state: PeerState, before: PeerState): void {
    this.#countPeers();
    const { role, id, bootId } = peer;
    this.#log.debug({ peer: { role, id, bootId }, state }, 'bus peer changed');
    if (state !== 'lost' || before !== 'up') return;
    this.#metrics.peersLost.inc();
    for (const listener of [...this.#lostListeners]) {
      try {
        listener(peer);
      } catch (error) {
        this.#complaints.listenerThrew('peer_lost', error);
      }
    }
  }

  #countPeers(): void {
    const count = { connecting: 0, up: 0, lost: 0 };
    for (const { state } of this.#connections.values()) count[state] += 1;
    for (const [state, peers] of Object.entries(count)) this.#metrics.peers.set({ state }, peers);
  }

  #choose(target: Target): PeerConnection | undefined {
    if (target.kind === 'instance') return this.#instance(target.role, target.id);
    const candidates = this.#ready(target.role, target.where ?? (() => true));
    return this.#leastBusy(preferred(candidates));
  }

  /** The named instance; of several boots of one name the newest record. */
  #instance(role: Role, id: string): PeerConnection | undefined {
    const named = [...this.#connections.values()].filter(
      ({ peer }) => peer.role === role && peer.id === id,
    );
    return preferred(named).at(-1);
  }

  #ready(role: Role, where: (peer: BusPeer) => boolean): PeerConnection[] {
    return [...this.#connections.values()].filter(
      ({ peer }) => peer.role === role && peer.isReady && where(peer),
    );
  }

  /** The one with the fewest calls in flight, in turn among equals. */
  #leastBusy(candidates: readonly PeerConnection[]): PeerConnection | undefined {
    const fewest = Math.min(...candidates.map(({ callsInFlight }) => callsInFlight));
    const equals = candidates.filter(({ callsInFlight }) => callsInFlight === fewest);
    this.#turn += 1;
    return equals[this.#turn % equals.length];
  }

  async #callCounted<R extends Rpc>(
    connection: PeerConnection,
    rpc: R,
    request: RequestOf<R>,
    options: CallOptions,
  ): Promise<ReplyOf<R>> {
    const subject = subjectOf(rpc);
    this.#metrics.inFlight.inc();
    try {
      const reply = await connection.call(rpc, request, options);
      this.#metrics.calls.inc({ subject, outcome: 'reply' });
      return reply;
    } catch (error) {
      const outcome = error instanceof BusError ? error.code : 'bug';
      this.#metrics.calls.inc({ subject, outcome });
      throw error;
    } finally {
      this.#metrics.inFlight.dec();
    }
  }

  #receiveRequest(frames: Frames, reply: (frames: Frames) => void): void {
    let bootId = 'unknown';
    try {
      const [head = new Uint8Array()] = frames;
      const header = decodeHeader(head);
      bootId = header.bootId;
      if (header.kind === 'hello') this.#welcome(header, frames, reply);
      else if (header.kind === 'request') this.#serve(header, frames, reply);
      else throw new WireError('unknown_kind', 3, `${header.kind} is not a request`);
    } catch (error) {
      this.#complaints.malformed('unknown', bootId, error);
    }
  }

  #serve(header: FrameHeader, frames: Frames, reply: (frames: Frames) => void): void {
    if (this.#isClosed) return;
    const origin = this.#callerOf(header.bootId);
    void this.#server.receive(decodeRequest(header, frames), origin, reply);
  }

  #welcome(header: FrameHeader, frames: Frames, reply: (frames: Frames) => void): void {
    const { role, id } = helloSchema.parse(decodeBody(decodeReply(header, frames).body));
    this.#remember({ role, id, bootId: header.bootId });
    const welcome = {
      kind: 'welcome',
      bootId: this.#self.bootId,
      sequence: 0,
      timeoutMs: 0,
    } as const;
    reply(encodeReply(welcome, encodeBody({ role: this.#self.role, id: this.#self.id })));
  }

  /** Callers may be ahead of our view of the registry, or tools that are in no registry. */
  #remember(caller: BusSelf): void {
    this.#strangers.delete(caller.bootId);
    this.#strangers.set(caller.bootId, caller);
    const [oldest] = this.#strangers.keys();
    if (this.#strangers.size > STRANGERS_MAX && oldest !== undefined)
      this.#strangers.delete(oldest);
  }

  #callerOf(bootId: string): BusSelf {
    const known = this.#connections.get(bootId)?.peer ?? this.#strangers.get(bootId);
    return known ?? { role: 'launcher', id: `unknown-${bootId}`, bootId };
  }
}

function preferred(candidates: readonly PeerConnection[]): readonly PeerConnection[] {
  for (const state of ['up', 'connecting'] as const) {
    const inState = candidates.filter((connection) => connection.state === state);
    if (inState.length > 0) return inState;
  }
  return candidates;
}

function isSamePlace(a: BusPeer, b: BusPeer): boolean {
  return (
    a.pubEndpoint === b.pubEndpoint &&
    a.rpcEndpoint === b.rpcEndpoint &&
    a.serverKeyId === b.serverKeyId
  );
}

function describe(target: Target): string {
  return target.kind === 'instance' ? `${target.role} "${target.id}"` : `ready ${target.role}`;
}
