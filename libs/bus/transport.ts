/** What carries the bus: frames to and from peers. It knows no contract, no sequence and no correlation. */
import type { BusPeer } from './bus.ts';
import type { Frames } from './frame.ts';

export interface Transport extends AsyncDisposable {
  readonly endpoints: { readonly pub: string; readonly rpc: string };
  /** [messages] waiting to be sent, by queue. */
  readonly queueLengths: Readonly<Record<string, number>>;
  /** Sends to everyone who hears the first frame's prefix; in order, may lose. */
  publish(frames: Frames): void;
  /** Hears publications beginning with `prefix`, of all peers connected now and later. */
  subscribe(prefix: string): void;
  unsubscribe(prefix: string): void;
  /** Opens the way to one boot of a process, again and again while it breaks, until it is disposed. */
  connect(peer: BusPeer, events: ChannelEvents): Channel;
  /** From now on requests of others are given to `onRequest`. Called once. */
  listen(onRequest: (frames: Frames, reply: (frames: Frames) => void) => void): void;
}

/** Never called during `connect()`, nor after the channel was disposed. */
export interface ChannelEvents {
  /** There is a fresh way to the peer; what is sent from now on goes there, or is lost. */
  onOpened(): void;
  /** The way broke: what was sent may be lost, what comes is of another way. */
  onBroken(): void;
  onReply(frames: Frames): void;
  onPublication(frames: Frames): void;
}

export interface Channel extends Disposable {
  /** False: not sent, and never will be. */
  send(frames: Frames): boolean;
}
