/** The words of the frontend's core: what a connection is, what happens to it, what it wants done. No socket. */
import type { DownItem, Mark, UpItem } from '#libs/link/items.ts';
import type { KeptCapsule } from './kept-capsule.ts';
import type { LineInput } from './line-input.ts';
import type { Cast, Outbox } from './outbox.ts';
import type { LineAllowance } from './limits.ts';

/** Facts of a connection that never change. */
export interface ConnectionFacts {
  /** Our number for it: unique while the process lives. */
  readonly handle: number;
  /** HAProxy's unique id: the key in logs, Redis and shares. */
  readonly conn: string;
  readonly peerAddress: string;
  readonly peerPort: number;
  readonly listener: string;
  /** `TLSv1.3 TLS_AES_128_GCM_SHA256`; empty: no TLS. */
  readonly tls: string;
  readonly acceptedMs: number;
}

/** A line without its acknowledgement. */
export interface HeldLine {
  readonly seq: number;
  readonly arrivedMs: number;
  readonly bytes: Uint8Array;
  wasSent: boolean;
}

/** The servers that are there to take connections, by this name: one link session each. */
export type ServerKey = string;

/**
 * `fresh`: no line yet, so no server knows it. `live`. `half_closed`: the miner sends no more, its answers are awaited.
 * `closing`: what is queued is written, then FIN. `closed`.
 */
type Phase = 'fresh' | 'live' | 'half_closed' | 'closing' | 'closed';

/**
 * The state of a connection, changed in place by `step()`: it has one owner, and a copy at each of a hundred thousand
 * lines a second would cost more than the work. What of it travels in a hand-over: `handover-state.ts`.
 */
export interface Connection {
  readonly facts: ConnectionFacts;
  phase: Phase;
  /** Counts the openings on servers. Items of an older one are skipped. */
  opening: number;
  /** Where it is open now; undefined: nowhere. */
  server: ServerKey | undefined;
  /** [ms] since when it wants a server and has none */
  heldSinceMs: number | undefined;
  /** Number of the next new line. */
  nextSeq: number;
  unacknowledged: HeldLine[];
  /** [bytes] of them */
  unacknowledgedBytes: number;
  readonly input: LineInput;
  isReading: boolean;
  allowance: LineAllowance;
  readonly capsule: KeptCapsule;
  /** Marks of the last notifies really written, oldest first. */
  marks: readonly Mark[];
  groups: readonly number[];
  /** The keep-alive line. */
  idle: { readonly afterMs: number; readonly bytes: Uint8Array } | undefined;
  readonly outbox: Outbox;
  /** What the kernel has not taken yet; undefined: nothing. */
  inFlight: { readonly bytes: number; readonly marks: readonly Mark[] } | undefined;
  /** [ms] when something was last written to the miner */
  wroteMs: number;
  /** Why it began to close. */
  closeReason: CloseReason | undefined;
  /** [ms] when it began to close */
  closingSinceMs: number | undefined;
  hasSaidFin: boolean;
}

/** A down item that names a connection. */
export type ConnectionItem = Exclude<DownItem, { kind: 'cast' } | { kind: 'listen' }>;

export type ConnectionEvent =
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  /** The miner sent FIN. */
  | { readonly kind: 'input_ended' }
  | { readonly kind: 'socket_closed'; readonly reason: string }
  /** A server takes it. */
  | { readonly kind: 'placed'; readonly server: ServerKey }
  /** Its link session is over. */
  | { readonly kind: 'unplaced' }
  /** It goes to another server though this one lives. */
  | { readonly kind: 'moved_away' }
  /** It goes to another frontend. */
  | { readonly kind: 'handed_over' }
  | { readonly kind: 'item'; readonly server: ServerKey; readonly item: ConnectionItem }
  | { readonly kind: 'cast'; readonly cast: Cast }
  /** All items of a message are applied: write. */
  | { readonly kind: 'flush' }
  /** The kernel took what was in flight. */
  | { readonly kind: 'written' }
  | { readonly kind: 'tick' };

export type CloseReason =
  | 'line_too_long'
  | 'slow_reader'
  | 'capsule_too_long'
  | 'no_server'
  | 'no_first_line'
  | 'half_closed'
  | 'server';

export type Effect =
  /** To the server it is open on. */
  | { readonly kind: 'send'; readonly server: ServerKey; readonly item: UpItem }
  /** It wants a server, any but `avoid`. */
  | { readonly kind: 'place'; readonly avoid: ServerKey | undefined }
  | { readonly kind: 'join' | 'leave'; readonly server: ServerKey; readonly group: number }
  /** Left the server it was on. */
  | { readonly kind: 'left'; readonly server: ServerKey }
  | { readonly kind: 'read'; readonly on: boolean }
  | { readonly kind: 'write'; readonly bytes: Uint8Array }
  | { readonly kind: 'fin' }
  | { readonly kind: 'destroy' }
  /** The last effect of every connection. */
  | { readonly kind: 'closed'; readonly reason: string }
  | { readonly kind: 'count'; readonly what: Counted; readonly by: number };

export type Counted =
  | 'lines'
  | 'resent_lines'
  | 'stale_items'
  | 'replaced_casts'
  | 'keepalives'
  | 'lost_lines';
