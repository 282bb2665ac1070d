/**
 * The bus as services see it: publish, subscribe, call, serve. Two implementations, one contract suite:
 * `zeromq-bus.ts` (what runs) and `memory-bus.ts` (unit tests of wiring).
 *
 * Guarantees, per channel:
 * - topic: may lose, never replays; per publisher and subject in order; every gap or late join is told by `onGap`.
 * - RPC: at most once per try; a call ends by reply, remote error, timeout, abort or the peer's death.
 */
import type { MessageOf, ReplyOf, RequestOf, Rpc, Topic } from '#libs/contracts/define.ts';
import type { Role } from '#libs/contracts/instance-record.ts';

/** A process on the bus, as the registry knows it. */
export interface BusPeer {
  readonly role: Role;
  readonly id: string;
  readonly bootId: string;
  readonly isReady: boolean;
  readonly pubEndpoint: string;
  readonly rpcEndpoint: string;
  readonly serverKeyId: string;
}

/** Where a message came from. */
export interface Origin {
  readonly peer: Pick<BusPeer, 'role' | 'id' | 'bootId'>;
  /** Counts this publisher's messages of this subject and key, from 1. */
  readonly seq: number;
  readonly attachments: readonly Uint8Array[];
}

export type Target =
  | { readonly kind: 'instance'; readonly role: Role; readonly id: string }
  | { readonly kind: 'any'; readonly role: Role; readonly where?: (peer: BusPeer) => boolean };

export interface CallOptions {
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  readonly attachments?: readonly Uint8Array[];
}

export interface Subscription extends Disposable {}

export interface Bus extends AsyncDisposable {
  /** Endpoints peers connect to, for the registry record. */
  readonly endpoints: { readonly pub: string; readonly rpc: string };

  /** Queues a message; drops the oldest queued one of telemetry at the bound (counted). `key` narrows the subject, e.g. a chain. */
  publish<T extends Topic>(
    topic: T,
    key: string,
    message: MessageOf<T>,
    attachments?: readonly Uint8Array[],
  ): void;

  /**
   * Hears `topic` from all peers, now and later. `key` '' hears every key.
   * `onGap` tells that messages of a publisher were lost or sent before we joined: ask it for a snapshot.
   */
  subscribe<T extends Topic>(
    topic: T,
    key: string,
    onMessage: (message: MessageOf<T>, origin: Origin) => void,
    onGap?: (peer: Origin['peer']) => void,
  ): Subscription;

  /**
   * Calls an RPC once.
   * @throws {BusError} `timeout`, `no_responder`, `peer_lost`, `remote`, `malformed`, `overloaded` or `aborted`
   */
  call<R extends Rpc>(
    target: Target,
    rpc: R,
    request: RequestOf<R>,
    options?: CallOptions,
  ): Promise<ReplyOf<R>>;

  /** Calls every ready peer of a role in parallel; a failed one is an error in its place. */
  callAll<R extends Rpc>(
    role: Role,
    rpc: R,
    request: RequestOf<R>,
    options?: CallOptions & { readonly where?: (peer: BusPeer) => boolean },
  ): Promise<
    readonly { readonly peer: BusPeer; readonly result: PromiseSettledResult<ReplyOf<R>> }[]
  >;

  /** Answers an RPC. The handler's throw becomes the caller's BusError `remote`. */
  serve<R extends Rpc>(
    rpc: R,
    handler: (request: RequestOf<R>, origin: Origin) => Promise<ReplyOf<R>> | ReplyOf<R>,
  ): Subscription;

  /** The peers to be connected to, complete. Connects to new ones, disconnects from gone ones. Self is skipped. */
  setPeers(peers: readonly BusPeer[]): void;
  readonly peers: readonly BusPeer[];

  /** A peer's connection was lost (milliseconds after a kill): a hint, faster than the registry's TTL. */
  onPeerLost(listener: (peer: BusPeer) => void): Subscription;
}
