/** Moves all sessions to other servers, in slices, and waits until they are gone. */
import type { SessionTable } from './session-table.ts';
import { addressed } from './connection.ts';
import type { Turn } from './turn.ts';
import { pause } from './wait.ts';

const STEP_MS = 20;
/** Connections asked to move in one slice: a share of all, so that draining takes about a second. */
const SLICES = 40;
const SLICE_MIN = 32;

/**
 * Asks every connection to move. What it waits for is answered first; later lines are sent again elsewhere. The frontend
 * says nothing more of an opening it was asked to move, so it is forgotten at once.
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
    const answered = [...table.all()].filter(({ waiting }) => waiting === undefined);
    for (const connection of answered.slice(0, perSlice)) {
      turn.send(connection.peer, [addressed(connection, { kind: 'release' })]);
      table.remove(connection, 'moved');
    }
    turn.finish();
    await pause(STEP_MS, signal);
  }
}
