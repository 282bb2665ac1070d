/** Which server takes a connection, and which connections move when load is uneven. */
import type { ServerKey } from './model.ts';

/** A server as its heartbeats tell it. */
export interface ServerLoad {
  readonly key: ServerKey;
  /** [sessions] it holds for all frontends: as last told, with what we placed and took away since */
  readonly load: number;
  /** [sessions] of them ours */
  readonly ours: number;
  /** It takes new connections: false while it drains or has no work. */
  readonly accepts: boolean;
}

/**
 * Of two servers picked at random the one with less load: nearly as even as the least loaded of all, and frontends that
 * know the same old numbers do not all run to the same server.
 *
 * @param random 0 <= x < 1
 * @returns undefined if none accepts
 */
export function pickServer(
  servers: readonly ServerLoad[],
  random: () => number,
  avoid?: ServerKey,
): ServerKey | undefined {
  const candidates = servers.filter(({ accepts, key }) => accepts && key !== avoid);
  const first = candidates[Math.floor(random() * candidates.length)];
  if (first === undefined || candidates.length === 1) return first?.key;
  const others = candidates.filter((candidate) => candidate !== first);
  const second = others[Math.floor(random() * others.length)] ?? first;
  return second.load < first.load ? second.key : first.key;
}

export interface Move {
  readonly from: ServerKey;
  readonly to: ServerKey;
  /** [connections] */
  readonly count: number;
}

/** A server this much below the mean gets connections from those above it. */
const UNEVEN_PART = 0.15;
const UNEVEN_SESSIONS = 4;

/**
 * The moves of one slice. Each frontend moves only its own share of what is too much, and half of that, since the numbers
 * are a heartbeat old and the others move too; so it ends even instead of swinging.
 *
 * @param countMax [connections] in one slice
 */
export function planMoves(servers: readonly ServerLoad[], countMax: number): readonly Move[] {
  const accepting = servers.filter(({ accepts }) => accepts);
  const mean = accepting.reduce((sum, { load }) => sum + load, 0) / Math.max(1, accepting.length);
  const slack = Math.max(UNEVEN_SESSIONS, mean * UNEVEN_PART);
  const to = accepting.toSorted((a, b) => a.load - b.load)[0];
  if (to === undefined || mean - to.load < slack) return [];
  const moves: Move[] = [];
  let room = Math.min(countMax, Math.ceil((mean - to.load) / 2));
  for (const from of accepting.toSorted((a, b) => b.load - a.load)) {
    const count = Math.min(
      room,
      from.ours,
      Math.ceil((Math.max(0, from.load - mean) * shareOf(from)) / 2),
    );
    if (count > 0) moves.push({ from: from.key, to: to.key, count });
    room -= count;
  }
  return moves;
}

function shareOf({ ours, load }: ServerLoad): number {
  return Math.min(1, ours / Math.max(1, load));
}
