/** Moves all sessions to other servers, in slices, and waits until they are gone. */
import type { SessionTable } from './session-table.ts';
import type { Connection } from './connection.ts';
import { addressed } from './connection.ts';
import type { Turn } from './turn.ts';
import { pause } from './wait.ts';

const STEP_MS = 20;
/** Connections asked to move in one slice: a share of all, so that draining takes about a second. */
const SLICES = 40;
const SLICE_MIN = 32;

/**
 * Asks every connection to move. A line that is being worked off is answered first; later ones go elsewhere.
 *
 * @param signal ends the waiting: whoever is left is moved by the end of the link
 */
export async function drainSessions(
  table: SessionTable,
  turn: Turn,
  signal: AbortSignal,
): Promise<void> {
  const perSlice = Math.max(SLICE_MIN, Math.ceil(table.size / SLICES));
  while (table.size > 0 && !signal.aborted) {
    const idle = [...table.all()].filter(isReleasable);
    for (const connection of idle.slice(0, perSlice)) release(connection, turn);
    turn.finish();
    await pause(STEP_MS, signal);
  }
}

function isReleasable({ isReleased, waiting }: Connection): boolean {
  return !isReleased && waiting === undefined;
}

function release(connection: Connection, turn: Turn): void {
  connection.isReleased = true;
  turn.send(connection.peer, [addressed(connection, { kind: 'release' })]);
}
