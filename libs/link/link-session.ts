/**
 * One session of a link as a state machine: (session, event) -> (session, effects). No socket, no clock.
 *
 * Note [Fencing a link]
 * A session ends on both sides without either being able to tell the other: by a second of silence, a counter that
 * differs, a disconnect, another boot id. Whoever ended it hears and says nothing more in it. A side whose event
 * loop hung (or whose process was stopped) cannot have been heard for that long, so its peer has given its work
 * away by now; it therefore ends its sessions itself when it wakes, before it looks at what waits in its socket.
 */
import type { LinkMessage } from './items.ts';
import { HEARTBEAT_MS, SILENCE_MS } from './limits.ts';

export type EndReason =
  | 'silence'
  | 'own_pause'
  | 'counter_difference'
  | 'disconnected'
  | 'unreachable'
  | 'new_boot'
  | 'no_welcome'
  | 'no_common_version'
  | 'malformed'
  | 'overflow'
  | 'superseded'
  | 'closed'
  | 'bye';

/** Who a side is. */
export interface LinkIdentity {
  readonly id: string;
  /** 16 hex digits: one life of the process */
  readonly bootId: string;
}

export interface Session {
  readonly side: 'client' | 'server';
  readonly phase: 'greeting' | 'up' | 'ended';
  readonly id: bigint;
  /** The other side: at a client the server it expects. */
  readonly peer: LinkIdentity;
  /** `up`/`down` messages of this session that left, and that arrived. */
  readonly sent: number;
  readonly received: number;
  /** `sent` as the peer last confirmed it. */
  readonly confirmed: number;
  readonly heardMs: number;
  readonly tickMs: number;
}

export type SessionEvent<I> =
  | { readonly kind: 'received'; readonly message: LinkMessage; readonly nowMs: number }
  | { readonly kind: 'queued'; readonly items: readonly I[]; readonly nowMs: number }
  | {
      readonly kind: 'tick';
      readonly load: number;
      readonly accepts: boolean;
      readonly nowMs: number;
    }
  | { readonly kind: 'end'; readonly reason: EndReason; readonly detail: string };

export type SessionEffect =
  | { readonly kind: 'send'; readonly message: LinkMessage }
  | { readonly kind: 'opened' }
  | { readonly kind: 'deliver'; readonly message: Extract<LinkMessage, { kind: 'up' | 'down' }> }
  | { readonly kind: 'heard'; readonly load: number; readonly accepts: boolean }
  | { readonly kind: 'ended'; readonly reason: EndReason; readonly detail: string };

export type Next = readonly [Session, readonly SessionEffect[]];

/** A client's first step: it says hello, and lives when the server welcomes it. */
export function greet(
  id: bigint,
  self: LinkIdentity,
  server: LinkIdentity,
  versions: readonly number[],
  nowMs: number,
): Next {
  const bootId = bootNumber(self.bootId);
  const hello: LinkMessage = { kind: 'hello', session: id, frontendId: self.id, bootId, versions };
  return [fresh('client', 'greeting', id, server, nowMs), [{ kind: 'send', message: hello }]];
}

/** A server's first step, on a hello. Without a version both speak the session is over at once. */
export function welcome(
  hello: Extract<LinkMessage, { kind: 'hello' }>,
  self: LinkIdentity,
  versions: readonly number[],
  nowMs: number,
): Next {
  const peer = { id: hello.frontendId, bootId: bootText(hello.bootId) };
  const session = fresh('server', 'up', hello.session, peer, nowMs);
  const version = Math.max(...versions.filter((known) => hello.versions.includes(known)));
  if (version < 0) return end(session, 'no_common_version', `offered ${hello.versions.join()}`);
  const message: LinkMessage = {
    kind: 'welcome',
    session: hello.session,
    serverId: self.id,
    bootId: bootNumber(self.bootId),
    version,
  };
  return [session, [{ kind: 'send', message }, { kind: 'opened' }]];
}

function fresh(
  side: Session['side'],
  phase: Session['phase'],
  id: bigint,
  peer: LinkIdentity,
  nowMs: number,
): Session {
  return {
    side,
    phase,
    id,
    peer,
    sent: 0,
    received: 0,
    confirmed: 0,
    heardMs: nowMs,
    tickMs: nowMs,
  };
}

/** An ended session takes every event and does nothing. See Note [Fencing a link]. */
export function step<I>(session: Session, event: SessionEvent<I>): Next {
  if (session.phase === 'ended') return [session, []];
  if (event.kind === 'end') return end(session, event.reason, event.detail);
  if (event.nowMs - session.tickMs > SILENCE_MS) {
    return end(session, 'own_pause', `${Math.round(event.nowMs - session.tickMs)} ms`);
  }
  switch (event.kind) {
    case 'received':
      return onMessage(session, event.message, event.nowMs);
    case 'queued':
      return onQueued(session, event.items);
    case 'tick':
      return onTick(session, event);
  }
}

function onMessage(session: Session, message: LinkMessage, nowMs: number): Next {
  if (message.session !== session.id) return [session, []];
  const heard = { ...session, heardMs: nowMs };
  switch (message.kind) {
    case 'up':
    case 'down':
      return onItems(heard, message);
    case 'heartbeat':
      return onHeartbeat(heard, message);
    case 'welcome':
      return onWelcome(heard, message);
    case 'bye':
      return [
        { ...heard, phase: 'ended' },
        [{ kind: 'ended', reason: 'bye', detail: message.reason }],
      ];
    case 'hello':
      return [heard, []]; // Said twice: the session is already there.
  }
}

function onItems(session: Session, message: Extract<LinkMessage, { kind: 'up' | 'down' }>): Next {
  const expected = session.side === 'client' ? 'down' : 'up';
  if (message.kind !== expected || session.phase !== 'up') {
    return end(session, 'malformed', `${message.kind} while ${session.phase}`);
  }
  if (message.counter !== session.received + 1) {
    return end(session, 'counter_difference', `${message.counter} after ${session.received}`);
  }
  return [{ ...session, received: message.counter }, [{ kind: 'deliver', message }]];
}

/** A link is in order, so with the heartbeat everything sent before it has arrived. */
function onHeartbeat(session: Session, message: Extract<LinkMessage, { kind: 'heartbeat' }>): Next {
  if (session.phase !== 'up') return [session, []];
  const { sent, received, load, accepts } = message;
  if (sent !== session.received || received > session.sent || received < session.confirmed) {
    const detail = `peer ${sent}/${received}, here ${session.received}/${session.sent}`;
    return end(session, 'counter_difference', detail);
  }
  return [{ ...session, confirmed: received }, [{ kind: 'heard', load, accepts }]];
}

function onWelcome(session: Session, message: Extract<LinkMessage, { kind: 'welcome' }>): Next {
  if (session.side !== 'client' || session.phase !== 'greeting') return [session, []];
  const bootId = bootText(message.bootId);
  if (bootId !== session.peer.bootId || message.serverId !== session.peer.id) {
    return end(session, 'new_boot', `${message.serverId} ${bootId}`);
  }
  return [{ ...session, phase: 'up' }, [{ kind: 'opened' }]];
}

function onQueued<I>(session: Session, items: readonly I[]): Next {
  if (session.phase !== 'up') return [session, []];
  const counter = session.sent + 1;
  const kind = session.side === 'client' ? 'up' : 'down';
  const message = { kind, session: session.id, counter, items } as unknown as LinkMessage; // `I` follows the side.
  return [{ ...session, sent: counter }, [{ kind: 'send', message }]];
}

function onTick(
  session: Session,
  {
    nowMs,
    load,
    accepts,
  }: { readonly nowMs: number; readonly load: number; readonly accepts: boolean },
): Next {
  // After a late tick what waits in the socket is read first: silence is only what a running loop heard.
  const isLate = nowMs - session.tickMs > 2 * HEARTBEAT_MS;
  const silentMs = nowMs - session.heardMs;
  if (!isLate && silentMs > SILENCE_MS) {
    return end(
      session,
      session.phase === 'greeting' ? 'no_welcome' : 'silence',
      `${Math.round(silentMs)} ms`,
    );
  }
  const { id, sent, received } = session;
  const message: LinkMessage = { kind: 'heartbeat', session: id, sent, received, load, accepts };
  return [{ ...session, tickMs: nowMs }, session.phase === 'up' ? [{ kind: 'send', message }] : []];
}

/** Ends it here, and tells the peer in case it hears. */
function end(session: Session, reason: EndReason, detail: string): Next {
  const bye: LinkMessage = { kind: 'bye', session: session.id, reason };
  return [
    { ...session, phase: 'ended' },
    [
      { kind: 'send', message: bye },
      { kind: 'ended', reason, detail },
    ],
  ];
}

function bootNumber(bootId: string): bigint {
  return BigInt(`0x${bootId}`);
}

function bootText(bootId: bigint): string {
  return bootId.toString(16).padStart(16, '0');
}
