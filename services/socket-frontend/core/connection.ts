/**
 * One miner's connection as a state machine: (connection, event) -> effects. No socket, no clock; the connection is
 * changed in place. It knows bytes and lines, never what is in them.
 *
 * Note [One way to move]
 * A server that died, froze, drains, lost its link or gets its load taken away: for the connection all of these are the
 * same. It is nowhere, wants a place, and is `placed`: opening + 1, then `open` with the capsule and the marks, then
 * every line that has no acknowledgement, under its old number.
 */
import type { ConnectionRef, Mark } from '#libs/link/items.ts';
import { KeptCapsule } from './kept-capsule.ts';
import { type ConnectionLimits, holdMsOf, refill } from './limits.ts';
import { LineInput } from './line-input.ts';
import type {
  CloseReason,
  Connection,
  ConnectionEvent,
  ConnectionFacts,
  ConnectionItem,
  Effect,
  HeldLine,
  ServerKey,
} from './model.ts';
import { Outbox } from './outbox.ts';

/** Marks kept for a connection. */
const MARKS_KEPT = 4;

/** What a step looks at besides the connection. */
export interface Surroundings {
  readonly limits: ConnectionLimits;
  readonly nowMs: number;
  /** True while nothing more may be read for this server: it is behind, or we hold too much. */
  isPressed(server: ServerKey | undefined): boolean;
}

const NONE: readonly Effect[] = [];

export function createConnection(facts: ConnectionFacts, limits: ConnectionLimits): Connection {
  return {
    facts,
    phase: 'fresh',
    opening: 0,
    server: undefined,
    heldSinceMs: undefined,
    nextSeq: 1,
    unacknowledged: [],
    unacknowledgedBytes: 0,
    input: new LineInput(limits.lineBytesMax),
    isReading: true,
    allowance: { lines: limits.lineBurst, atMs: facts.acceptedMs },
    capsule: new KeptCapsule(limits.capsuleBytesMax),
    marks: [],
    groups: [],
    idle: undefined,
    outbox: new Outbox(),
    inFlight: undefined,
    wroteMs: facts.acceptedMs,
    closeReason: undefined,
    closingSinceMs: undefined,
    hasSaidFin: false,
  };
}

/** Takes one event. A closed connection takes every event and does nothing. */
export function step(
  connection: Connection,
  event: ConnectionEvent,
  around: Surroundings,
): readonly Effect[] {
  if (connection.phase === 'closed') return NONE;
  switch (event.kind) {
    case 'bytes':
      return onBytes(connection, event.bytes, around);
    case 'input_ended':
      return onInputEnded(connection, around);
    case 'socket_closed':
      return finish(connection, event.reason);
    case 'placed':
      return onPlaced(connection, event.server, around);
    case 'unplaced':
      return unplace(connection, undefined, around);
    case 'moved_away':
      return onMovedAway(connection, around);
    case 'handed_over':
      return [...sayClosed(connection, 'handed_over'), ...leave(connection)];
    case 'item':
      return onItem(connection, event.server, event.item, around);
    case 'cast':
      return onCast(connection, event.cast, around);
    case 'flush':
      return flush(connection, around);
    case 'written':
      return onWritten(connection, around);
    case 'tick':
      return onTick(connection, around);
  }
}

/** Openings that a frontend which died with the connection in its hands may have made. */
const OPENINGS_SKIPPED = 16;

/**
 * The connection comes back from another frontend that died: what was not answered here may have been answered there, so
 * it is dropped. A half line goes too: its end, if the other one did not read it, is answered as a line that does not
 * parse. Returns how many lines were dropped.
 */
export function reclaim(connection: Connection): number {
  const lost = connection.unacknowledged.length;
  dropLines(connection);
  connection.input.forget();
  connection.opening += OPENINGS_SKIPPED;
  return lost;
}

/** True while the connection belongs on a server. */
export function wantsServer(connection: Connection): boolean {
  return connection.phase === 'live' || connection.phase === 'half_closed';
}

function onBytes(
  connection: Connection,
  bytes: Uint8Array,
  around: Surroundings,
): readonly Effect[] {
  if (connection.phase !== 'fresh' && connection.phase !== 'live') return NONE;
  connection.input.push(bytes);
  return takeLines(connection, around);
}

/** Takes as many lines as the bounds allow, and says whether to read on. */
function takeLines(connection: Connection, around: Surroundings): readonly Effect[] {
  const effects: Effect[] = [];
  let count = 0;
  for (
    let room = roomForLines(connection, around);
    room > 0;
    room = roomForLines(connection, around)
  ) {
    const { lines, isTooLong } = connection.input.take(room);
    for (const bytes of lines) effects.push(...takeLine(connection, bytes, around));
    count += lines.length;
    if (isTooLong) return [...effects, ...destroy(connection, 'line_too_long')]; // FIN would wait for its end.
    if (!connection.input.hasWaiting) break;
  }
  if (count > 0) effects.push({ kind: 'count', what: 'lines', by: count });
  const isFull = connection.input.hasWaiting || roomForLines(connection, around) === 0;
  return [...effects, ...setReading(connection, !isFull && !isInputOver(connection))];
}

function isInputOver(connection: Connection): boolean {
  return connection.phase !== 'fresh' && connection.phase !== 'live';
}

/** [lines] that may be taken now. One line is let through however long it is. */
function roomForLines(connection: Connection, around: Surroundings): number {
  const { limits, nowMs } = around;
  const { unacknowledged, unacknowledgedBytes, server, input } = connection;
  if (unacknowledgedBytes >= limits.unacknowledgedBytesMax || around.isPressed(server)) return 0;
  connection.allowance = refill(connection.allowance, limits, nowMs);
  const isNearBound = unacknowledgedBytes + input.heldBytes > limits.unacknowledgedBytesMax;
  const room = Math.min(
    isNearBound ? 1 : limits.unacknowledgedLinesMax,
    limits.unacknowledgedLinesMax - unacknowledged.length,
  );
  return Math.max(0, Math.min(room, Math.floor(connection.allowance.lines)));
}

function takeLine(
  connection: Connection,
  view: Uint8Array,
  { nowMs }: Surroundings,
): readonly Effect[] {
  const line: HeldLine = {
    seq: connection.nextSeq,
    arrivedMs: nowMs,
    bytes: Buffer.from(view),
    wasSent: false,
  };
  connection.nextSeq += 1;
  connection.unacknowledged.push(line);
  connection.unacknowledgedBytes += line.bytes.length;
  const { lines, atMs } = connection.allowance;
  connection.allowance = { lines: lines - 1, atMs };
  if (connection.server !== undefined)
    return [sendLine(connection, connection.server, line, nowMs)];
  if (connection.phase !== 'fresh') return NONE; // It waits for a place already.
  connection.phase = 'live';
  connection.heldSinceMs = nowMs;
  return [{ kind: 'place', avoid: undefined }];
}

function sendLine(
  connection: Connection,
  server: ServerKey,
  line: HeldLine,
  nowMs: number,
): Effect {
  line.wasSent = true;
  const { seq, bytes, arrivedMs } = line;
  return {
    kind: 'send',
    server,
    item: { kind: 'line', ...refOf(connection), seq, ageMs: ageOf(arrivedMs, nowMs), bytes },
  };
}

/** See Note [One way to move]. */
function onPlaced(
  connection: Connection,
  server: ServerKey,
  { nowMs }: Surroundings,
): readonly Effect[] {
  if (!wantsServer(connection) || connection.server !== undefined) return NONE;
  connection.server = server;
  connection.opening += 1;
  connection.heldSinceMs = undefined;
  const { facts, capsule, marks, unacknowledged, nextSeq } = connection;
  const { conn, peerAddress, peerPort, listener, tls, acceptedMs } = facts;
  const open: Effect = {
    kind: 'send',
    server,
    item: {
      kind: 'open',
      ...refOf(connection),
      ...{ conn, peerAddress, peerPort, listener, tls },
      ageMs: ageOf(acceptedMs, nowMs),
      capsule: capsule.bytes.slice(), // It may change before the message is packed.
      marks,
      nextSeq: unacknowledged[0]?.seq ?? nextSeq,
    },
  };
  const resent = unacknowledged.filter(({ wasSent }) => wasSent).length;
  const lines = unacknowledged.map((line) => sendLine(connection, server, line, nowMs));
  return resent === 0
    ? [open, ...lines]
    : [open, ...lines, { kind: 'count', what: 'resent_lines', by: resent }];
}

/** It has no server any more, and wants another. */
function unplace(
  connection: Connection,
  avoid: ServerKey | undefined,
  { nowMs }: Surroundings,
): readonly Effect[] {
  const effects = leave(connection);
  if (!wantsServer(connection)) return effects;
  connection.heldSinceMs ??= nowMs;
  return [...effects, { kind: 'place', avoid }];
}

function onMovedAway(connection: Connection, around: Surroundings): readonly Effect[] {
  const from = connection.server;
  return [...sayClosed(connection, 'moved'), ...unplace(connection, from, around)];
}

/** An opening on a server is over: its memberships go with it. */
function leave(connection: Connection): readonly Effect[] {
  const { server, groups } = connection;
  if (server === undefined) return NONE;
  connection.server = undefined;
  connection.groups = [];
  return [
    ...groups.map((group): Effect => ({ kind: 'leave', server, group })),
    { kind: 'left', server },
  ];
}

/** Tells the server that the opening is over. */
function sayClosed(connection: Connection, reason: string): readonly Effect[] {
  const { server } = connection;
  if (server === undefined) return NONE;
  return [{ kind: 'send', server, item: { kind: 'close', ...refOf(connection), reason } }];
}

function onItem(
  connection: Connection,
  server: ServerKey,
  item: ConnectionItem,
  around: Surroundings,
): readonly Effect[] {
  if (connection.server !== server || connection.opening !== item.opening) {
    return [{ kind: 'count', what: 'stale_items', by: 1 }];
  }
  switch (item.kind) {
    case 'write':
      return enqueue(connection, item.bytes, item.mark, around);
    case 'ack':
      return onAck(connection, item.seq, around);
    case 'capsule': {
      const isKept =
        item.change === 'set'
          ? connection.capsule.set(item.bytes)
          : connection.capsule.append(item.bytes);
      return isKept ? NONE : destroy(connection, 'capsule_too_long');
    }
    case 'join':
      return onJoin(connection, server, item.group);
    case 'leave':
      return onLeave(connection, server, item.group);
    case 'idle':
      connection.idle =
        item.afterMs === 0 ? undefined : { afterMs: item.afterMs, bytes: Buffer.from(item.bytes) };
      return NONE;
    case 'close':
      return [...leave(connection), ...close(connection, 'server', around)];
    case 'release':
      return unplace(connection, server, around);
  }
}

/** Drops the lines up to `seq`, and takes more in their place. */
function onAck(connection: Connection, seq: number, around: Surroundings): readonly Effect[] {
  const { unacknowledged } = connection;
  let count = 0;
  for (
    let line = unacknowledged[0];
    line !== undefined && line.seq <= seq;
    line = unacknowledged[count]
  ) {
    connection.unacknowledgedBytes -= line.bytes.length;
    count += 1;
  }
  if (count === 0) return NONE;
  connection.unacknowledged = count === unacknowledged.length ? [] : unacknowledged.slice(count);
  if (connection.phase === 'half_closed') return closeIfAnswered(connection, around);
  return connection.isReading ? NONE : takeLines(connection, around);
}

function onJoin(connection: Connection, server: ServerKey, group: number): readonly Effect[] {
  if (connection.groups.includes(group)) return NONE;
  connection.groups = [...connection.groups, group];
  return [{ kind: 'join', server, group }];
}

function onLeave(connection: Connection, server: ServerKey, group: number): readonly Effect[] {
  if (!connection.groups.includes(group)) return NONE;
  connection.groups = connection.groups.filter((joined) => joined !== group);
  return [{ kind: 'leave', server, group }];
}

function onCast(
  connection: Connection,
  cast: Parameters<Outbox['cast']>[0],
  around: Surroundings,
): readonly Effect[] {
  if (connection.phase === 'closing') return NONE;
  const replaced = connection.outbox.cast(cast);
  if (isTooSlow(connection, around)) return destroy(connection, 'slow_reader');
  return replaced === 0 ? NONE : [{ kind: 'count', what: 'replaced_casts', by: replaced }];
}

function enqueue(
  connection: Connection,
  bytes: Uint8Array,
  mark: Mark,
  around: Surroundings,
): readonly Effect[] {
  if (connection.phase === 'closing') return NONE;
  connection.outbox.write(compact(bytes), mark);
  return isTooSlow(connection, around) ? destroy(connection, 'slow_reader') : NONE;
}

/** A copy if a small view keeps a big message alive: it may wait long for its miner. */
function compact(bytes: Uint8Array): Uint8Array {
  return bytes.buffer.byteLength > 8_192 + 2 * bytes.length ? Buffer.from(bytes) : bytes;
}

function isTooSlow({ inFlight, outbox }: Connection, { limits }: Surroundings): boolean {
  return inFlight !== undefined && inFlight.bytes + outbox.bytes > limits.outBytesMax;
}

/** One write at a time: what is queued while the kernel takes nothing goes as one piece afterwards. */
function flush(connection: Connection, { nowMs }: Surroundings): readonly Effect[] {
  if (connection.inFlight !== undefined) return NONE;
  const batch = connection.outbox.take();
  if (batch === undefined) return connection.phase === 'closing' ? sayFin(connection) : NONE;
  connection.inFlight = { bytes: batch.bytes.length, marks: batch.marks };
  connection.wroteMs = nowMs;
  return [{ kind: 'write', bytes: batch.bytes }];
}

/** Only now a mark counts: the bytes are with the kernel. */
function onWritten(connection: Connection, around: Surroundings): readonly Effect[] {
  const marks = connection.inFlight?.marks ?? [];
  connection.inFlight = undefined;
  if (marks.length > 0)
    connection.marks = [...connection.marks, ...marks.map((mark) => Uint8Array.from(mark))].slice(
      -MARKS_KEPT,
    );
  return flush(connection, around);
}

function onInputEnded(connection: Connection, around: Surroundings): readonly Effect[] {
  if (isInputOver(connection)) return NONE;
  if (connection.phase === 'fresh') return close(connection, 'half_closed', around);
  connection.phase = 'half_closed';
  connection.closingSinceMs = around.nowMs;
  return closeIfAnswered(connection, around);
}

function closeIfAnswered(connection: Connection, around: Surroundings): readonly Effect[] {
  return connection.unacknowledged.length > 0 ? NONE : close(connection, 'half_closed', around);
}

/** Takes no more, writes what is queued, then says FIN. */
function close(
  connection: Connection,
  reason: CloseReason,
  around: Surroundings,
): readonly Effect[] {
  const effects = [...sayClosed(connection, reason), ...leave(connection)];
  connection.phase = 'closing';
  connection.closeReason = reason;
  connection.closingSinceMs = around.nowMs;
  dropLines(connection);
  return [...effects, ...setReading(connection, false), ...flush(connection, around)];
}

function sayFin(connection: Connection): readonly Effect[] {
  if (connection.hasSaidFin) return NONE;
  connection.hasSaidFin = true;
  return [{ kind: 'fin' }];
}

/** Closes the socket at once. */
function destroy(connection: Connection, reason: CloseReason): readonly Effect[] {
  return [...finish(connection, reason), { kind: 'destroy' }];
}

/** The last step of every connection. */
function finish(connection: Connection, reason: string): readonly Effect[] {
  const why = connection.closeReason ?? reason;
  const effects = [...sayClosed(connection, why), ...leave(connection)];
  connection.phase = 'closed';
  connection.heldSinceMs = undefined;
  dropLines(connection);
  return [...effects, { kind: 'closed', reason: why }];
}

function dropLines(connection: Connection): void {
  connection.unacknowledged = [];
  connection.unacknowledgedBytes = 0;
}

function setReading(connection: Connection, on: boolean): readonly Effect[] {
  if (connection.isReading === on) return NONE;
  connection.isReading = on;
  return [{ kind: 'read', on }];
}

function onTick(connection: Connection, around: Surroundings): readonly Effect[] {
  const { phase, closingSinceMs = 0, heldSinceMs, facts } = connection;
  const { nowMs, limits } = around;
  switch (phase) {
    case 'fresh':
      if (nowMs - facts.acceptedMs > limits.firstLineMs)
        return close(connection, 'no_first_line', around);
      return connection.isReading ? NONE : takeLines(connection, around);
    case 'half_closed':
    case 'closing':
      return nowMs - closingSinceMs > limits.closeMs ? destroy(connection, 'half_closed') : NONE;
    case 'live':
      if (heldSinceMs !== undefined && nowMs - heldSinceMs > holdMsOf(facts.handle, limits)) {
        return close(connection, 'no_server', around);
      }
      return [
        ...(connection.isReading ? NONE : takeLines(connection, around)),
        ...keepAlive(connection, around),
      ];
    case 'closed':
      return NONE;
  }
}

/** Also while no server is there: the keep-alive line survives the server that asked for it. */
function keepAlive(connection: Connection, around: Surroundings): readonly Effect[] {
  const { idle, wroteMs, inFlight, outbox } = connection;
  if (idle === undefined || around.nowMs - wroteMs < idle.afterMs) return NONE;
  if (inFlight !== undefined || !outbox.isEmpty) return NONE; // It is not silence that keeps it from hearing.
  outbox.write(idle.bytes);
  return [...flush(connection, around), { kind: 'count', what: 'keepalives', by: 1 }];
}

function refOf({ facts, opening }: Connection): ConnectionRef {
  return { handle: facts.handle, opening };
}

/** [ms] whole, and not negative whatever the clock did */
function ageOf(thenMs: number, nowMs: number): number {
  return Math.max(0, Math.round(nowMs - thenMs));
}
