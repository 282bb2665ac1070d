/**
 * The way to one peer: a DEALER for calls and a SUB for its publications.
 *
 * Note [Fresh sockets]
 * When a connection breaks, its socket is closed and a new one made, instead of letting libzmq reconnect: what
 * waits in the old socket's pipe must not reach whoever has the port next, and libzmq does not reconnect at all
 * after a refused handshake or a frame above the limit. Without a routing id of our own, the ROUTER gives each
 * connection a fresh one, so that nothing meant for an old connection reaches a new one.
 */
import { Dealer, type Socket, Subscriber } from 'zeromq';
import type { Frames } from './frame.ts';
import { SendQueue } from './send-queue.ts';
import type { Channel, ChannelEvents } from './transport.ts';

/** [ms] wait before the first new socket; doubled up to the maximum until a handshake succeeds */
const RETRY_MS_MIN = 50;
const RETRY_MS_MAX = 2_000;
/** [ms] between looks whether a broken socket has been read to its end: last words. */
const LAST_WORDS_MS = 50;
/** [looks] after which it is closed all the same */
const LAST_WORDS_LOOKS = 20;

export interface ZeromqPeerOptions {
  readonly rpcEndpoint: string;
  readonly pubEndpoint: string;
  readonly prefixes: ReadonlySet<string>;
  readonly createDealer: () => Dealer;
  readonly createSubscriber: () => Subscriber;
  readonly createQueue: (send: (frames: Frames) => Promise<void>) => SendQueue<Frames>;
  readonly events: ChannelEvents;
  readonly onClosed: () => void;
}

export class ZeromqPeer implements Channel {
  readonly #options: ZeromqPeerOptions;
  readonly #rpc: Reconnecting<Dealer>;
  readonly #pub: Reconnecting<Subscriber>;
  #queue: SendQueue<Frames> | undefined;
  #isClosed = false;

  constructor(options: ZeromqPeerOptions) {
    this.#options = options;
    const { events } = options;
    this.#rpc = new Reconnecting({
      create: options.createDealer,
      endpoint: options.rpcEndpoint,
      onOpened: (dealer) => this.#openRpc(dealer),
      hasLastWords: false, // Its calls have failed by then.
      onBroken: () => this.#breakRpc(),
      onMessage: (frames) => events.onReply(frames),
    });
    this.#pub = new Reconnecting({
      create: options.createSubscriber,
      endpoint: options.pubEndpoint,
      onOpened: (subscriber) => this.#subscribeAll(subscriber),
      hasLastWords: true,
      onBroken: () => undefined, // The publisher's next sequence tells what was missed.
      onMessage: (frames) => events.onPublication(frames),
    });
    queueMicrotask(() => this.#start());
  }

  get queueLength(): number {
    return this.#queue?.length ?? 0;
  }

  send(frames: Frames): boolean {
    return this.#queue?.push(frames) ?? false;
  }

  subscribe(prefix: string): void {
    this.#pub.socket?.subscribe(prefix);
  }

  unsubscribe(prefix: string): void {
    this.#pub.socket?.unsubscribe(prefix);
  }

  [Symbol.dispose](): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#queue?.close();
    this.#rpc[Symbol.dispose]();
    this.#pub[Symbol.dispose]();
    this.#options.onClosed();
  }

  #start(): void {
    if (this.#isClosed) return;
    this.#pub.open();
    this.#rpc.open();
  }

  #openRpc(dealer: Dealer): void {
    this.#queue = this.#options.createQueue((frames) => dealer.send([...frames]));
    this.#options.events.onOpened();
  }

  #subscribeAll(subscriber: Subscriber): void {
    const { prefixes } = this.#options;
    if (prefixes.size > 0) subscriber.subscribe(...prefixes); // Without arguments it would mean everything.
  }

  #breakRpc(): void {
    this.#queue?.close();
    this.#queue = undefined;
    this.#options.events.onBroken();
  }
}

interface ReconnectingOptions<S extends Dealer | Subscriber> {
  readonly create: () => S;
  readonly endpoint: string;
  /** A socket whose connection broke is read to its end before it is closed. */
  readonly hasLastWords: boolean;
  /** A new socket is connecting. */
  readonly onOpened: (socket: S) => void;
  /** Its connection broke; a new socket follows by itself. */
  readonly onBroken: () => void;
  readonly onMessage: (frames: Frames) => void;
}

/** A connecting socket that is replaced when its connection breaks. See Note [Fresh sockets]. */
class Reconnecting<S extends Dealer | Subscriber> implements Disposable {
  readonly #options: ReconnectingOptions<S>;
  #socket: S | undefined;
  #retryMs = RETRY_MS_MIN;
  #retry: NodeJS.Timeout | undefined;
  /** Broken sockets still being read. */
  readonly #ending = new Set<S>();

  constructor(options: ReconnectingOptions<S>) {
    this.#options = options;
  }

  get socket(): S | undefined {
    return this.#socket;
  }

  open(): void {
    const socket = this.#options.create();
    this.#socket = socket;
    socket.events.on('handshake', () => {
      if (this.#socket === socket) this.#retryMs = RETRY_MS_MIN;
    });
    socket.events.on('disconnect', () => this.#break(socket));
    if (!tryConnect(socket, this.#options.endpoint)) return this.#break(socket);
    void this.#receive(socket);
    this.#options.onOpened(socket);
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#retry);
    this.#socket?.close();
    this.#socket = undefined;
    for (const socket of this.#ending) socket.close();
    this.#ending.clear();
  }

  #break(socket: S): void {
    if (this.#socket !== socket) return; // Of a socket replaced meanwhile.
    this.#socket = undefined;
    this.#end(socket);
    this.#retry = setTimeout(() => this.open(), this.#retryMs).unref();
    this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MS_MAX);
    this.#options.onBroken();
  }

  #end(socket: S): void {
    if (!this.#options.hasLastWords) return socket.close();
    this.#ending.add(socket);
    this.#closeWhenRead(socket, LAST_WORDS_LOOKS);
  }

  #closeWhenRead(socket: S, looksLeft: number): void {
    setTimeout(() => {
      if (!this.#ending.has(socket)) return;
      if (socket.readable && looksLeft > 0) return this.#closeWhenRead(socket, looksLeft - 1);
      this.#ending.delete(socket);
      socket.close();
    }, LAST_WORDS_MS).unref();
  }

  async #receive(socket: S): Promise<void> {
    await receiveAll(socket, (frames) => {
      if (this.#socket === socket || this.#ending.has(socket)) this.#options.onMessage(frames);
    });
  }
}

/** False for an endpoint that libzmq cannot read: a record of the registry may be anything. */
function tryConnect(socket: Socket, endpoint: string): boolean {
  try {
    socket.connect(endpoint);
    return true;
  } catch {
    return false;
  }
}

/** Gives each message to `onMessage` until the socket is closed. */
export async function receiveAll(
  socket: Socket & AsyncIterable<Buffer[]>,
  onMessage: (frames: Frames) => void,
): Promise<void> {
  try {
    for await (const frames of socket) onMessage(frames);
  } catch (error) {
    if (!socket.closed) throw error; // Closing ends the pending receive; anything else is our bug.
  }
}
