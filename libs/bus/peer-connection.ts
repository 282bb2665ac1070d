/** One boot of a peer: its connection's state, and our calls to it. */
import { type ReplyOf, type RequestOf, type Rpc, subjectOf } from '#libs/contracts/define.ts';
import type { BusPeer, CallOptions } from './bus.ts';
import { CallTable } from './call-table.ts';
import { BusError, WireError } from './errors.ts';
import {
  decodeBody,
  decodeHeader,
  decodeReply,
  encodeBody,
  encodeReply,
  encodeRequest,
  type FrameHeader,
  type Frames,
} from './frame.ts';
import { helloSchema } from './hello.ts';
import type { Channel, Transport } from './transport.ts';

/** [calls] in flight to one peer; more are refused as `overloaded` */
const CALLS_MAX = 256;

/** `connecting`: not yet heard of. `up`: it said welcome. `lost`: it was up, and we try again. */
export type PeerState = 'connecting' | 'up' | 'lost';

export interface PeerConnectionOptions {
  readonly self: { readonly role: BusPeer['role']; readonly id: string; readonly bootId: string };
  readonly transport: Transport;
  readonly onPublication: (frames: Frames, peer: BusPeer) => void;
  readonly onState: (peer: BusPeer, state: PeerState, before: PeerState) => void;
  /** Another process answered at the peer's endpoint. */
  readonly onForeigner: (peer: BusPeer) => void;
  readonly onMalformed: (subject: string, bootId: string, error: unknown) => void;
}

export class PeerConnection implements Disposable {
  readonly #options: PeerConnectionOptions;
  readonly #calls = new CallTable();
  /** Requests made before the first welcome. Bounded by {@link CALLS_MAX}. */
  readonly #waiting = new Map<number, Frames>();
  readonly #channel: Channel;
  #peer: BusPeer;
  #state: PeerState = 'connecting';
  #isForeign = false;

  constructor(peer: BusPeer, options: PeerConnectionOptions) {
    this.#peer = peer;
    this.#options = options;
    this.#channel = options.transport.connect(peer, {
      onOpened: () => this.#sayHello(),
      onBroken: () => this.#lose('its connection broke'),
      onReply: (frames) => this.#receive(frames),
      onPublication: (frames) => options.onPublication(frames, this.#peer),
    });
  }

  get peer(): BusPeer {
    return this.#peer;
  }

  get state(): PeerState {
    return this.#state;
  }

  get callsInFlight(): number {
    return this.#calls.size;
  }

  /** The registry says something new about the same boot at the same endpoints. */
  update(peer: BusPeer): void {
    this.#peer = peer;
  }

  /** See {@link Bus.call}. @throws {BusError} */
  async call<R extends Rpc>(
    rpc: R,
    request: RequestOf<R>,
    options: CallOptions,
  ): Promise<ReplyOf<R>> {
    const { signal, attachments = [] } = options;
    this.#checkCallable(subjectOf(rpc), signal);
    const timeoutMs = clampTimeout(options.timeoutMs ?? rpc.timeoutMs);
    const correlation = this.#calls.nextCorrelation();
    const header = this.#header('request', correlation, timeoutMs);
    const frames = encodeRequest(header, subjectOf(rpc), encodeBody(request), attachments);
    const reply = this.#calls.open({ correlation, rpc, timeoutMs, signal });
    try {
      this.#send(correlation, frames);
      return await reply;
    } finally {
      this.#waiting.delete(correlation);
    }
  }

  [Symbol.dispose](): void {
    this.#channel[Symbol.dispose]();
    this.#calls.failAll('peer_lost', `${this.#peer.id} is gone`);
  }

  /** Ends all calls because we stop. */
  abort(): void {
    this.#channel[Symbol.dispose]();
    this.#calls.failAll('aborted', 'the bus is closed');
  }

  /** @throws {BusError} `aborted`, `peer_lost` or `overloaded` */
  #checkCallable(subject: string, signal: AbortSignal | undefined): void {
    const { id } = this.#peer;
    if (signal?.aborted === true) {
      throw new BusError('aborted', subject, 'the caller gave up', { cause: signal.reason });
    }
    if (this.#state === 'lost') throw new BusError('peer_lost', subject, `${id} is away`);
    if (this.#calls.size < CALLS_MAX) return;
    throw new BusError('overloaded', subject, `${CALLS_MAX} calls to ${id} in flight`);
  }

  #send(correlation: number, frames: Frames): void {
    if (this.#state !== 'up') this.#waiting.set(correlation, frames);
    else if (!this.#channel.send(frames)) {
      this.#calls.fail(correlation, 'overloaded', `the line to ${this.#peer.id} is full`);
    }
  }

  #sayHello(): void {
    const { role, id } = this.#options.self;
    this.#channel.send(encodeReply(this.#header('hello', 0, 0), encodeBody({ role, id })));
  }

  #receive(frames: Frames): void {
    try {
      const [head = new Uint8Array()] = frames;
      const header = decodeHeader(head);
      if (header.kind === 'welcome') this.#beWelcome(header, frames);
      else if (header.kind === 'reply' || header.kind === 'error') this.#settle(header, frames);
      else throw new WireError('unknown_kind', 3, `${header.kind} is not for a caller`);
    } catch (error) {
      this.#options.onMalformed('unknown', this.#peer.bootId, error);
    }
  }

  #settle(header: FrameHeader, frames: Frames): void {
    const malformed = this.#calls.settle(decodeReply(header, frames));
    if (malformed === undefined) return;
    this.#options.onMalformed(
      malformed,
      this.#peer.bootId,
      new WireError('bad_body', 0, 'a reply'),
    );
  }

  /** @throws {WireError} if it is no welcome */
  #beWelcome(header: FrameHeader, frames: Frames): void {
    helloSchema.parse(decodeBody(decodeReply(header, frames).body));
    if (header.bootId !== this.#peer.bootId) return this.#meetForeigner();
    this.#enter('up');
    for (const [correlation, waiting] of this.#waiting) this.#send(correlation, waiting);
    this.#waiting.clear();
  }

  /** Another process took the dead one's port. Nothing of ours may go there. */
  #meetForeigner(): void {
    this.#isForeign = true;
    this.#channel[Symbol.dispose]();
    this.#options.onForeigner(this.#peer);
    this.#enter('lost');
    this.#calls.failAll('peer_lost', `${this.#peer.id} is gone: another process has its port`);
  }

  #lose(detail: string): void {
    if (this.#state !== 'up' || this.#isForeign) return; // Not yet up: it may still come.
    this.#enter('lost');
    this.#calls.failAll('peer_lost', `${this.#peer.id} was lost: ${detail}`);
  }

  #enter(state: PeerState): void {
    const before = this.#state;
    this.#state = state;
    if (before !== state) this.#options.onState(this.#peer, state, before);
  }

  #header(kind: FrameHeader['kind'], sequence: number, timeoutMs: number): FrameHeader {
    return { kind, bootId: this.#options.self.bootId, sequence, timeoutMs };
  }
}

/** [ms] what a timer and the header can hold */
function clampTimeout(timeoutMs: number): number {
  return Math.max(1, Math.min(Math.ceil(timeoutMs), 0x7fff_ffff));
}
