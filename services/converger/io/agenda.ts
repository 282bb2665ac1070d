/**
 * The agenda: groups that were told, run one after another per group and at most once per interval. Owns the timers that
 * `core/throttle.ts` has no need of.
 */
import type { Logger } from 'pino';
import type { Converger, Iteration } from '../core/converger.ts';
import type { GroupName } from '../core/model.ts';
import { began, decide, ended, IDLE_THROTTLE, type Throttle, told } from '../core/throttle.ts';

export interface Agenda extends AsyncDisposable {
  tell(group: GroupName, cause: string): void;
  /** The last iterations of a group, newest first. */
  history(group: GroupName): readonly Iteration[];
}

export interface AgendaOptions {
  readonly converger: Converger;
  readonly intervalMs: number;
  /** Whether we may act on the group now. */
  readonly mayAct: (group: GroupName) => boolean;
  readonly log: Logger;
  readonly nowMs: () => number;
}

interface Entry {
  throttle: Throttle;
  causes: string[];
  timer: NodeJS.Timeout | undefined;
  running: Promise<void>;
  history: Iteration[];
}

const CAUSES_MAX = 16;
const HISTORY_MAX = 20;

export function createAgenda(options: AgendaOptions): Agenda {
  const { converger, intervalMs, mayAct, log, nowMs } = options;
  const entries = new Map<GroupName, Entry>();
  let isClosed = false;

  function entryOf(group: GroupName): Entry {
    let entry = entries.get(group);
    if (entry === undefined) {
      entry = {
        throttle: IDLE_THROTTLE,
        causes: [],
        timer: undefined,
        running: Promise.resolve(),
        history: [],
      };
      entries.set(group, entry);
    }
    return entry;
  }

  function look(group: GroupName, entry: Entry): void {
    if (isClosed || entry.timer !== undefined) return;
    const decision = decide(entry.throttle, intervalMs, nowMs());
    if (decision.kind === 'nothing') return;
    const inMs = decision.kind === 'later' ? decision.inMs : 0;
    entry.timer = setTimeout(() => {
      entry.timer = undefined;
      entry.running = run(group, entry);
    }, inMs);
  }

  async function run(group: GroupName, entry: Entry): Promise<void> {
    if (!mayAct(group)) {
      // Not ours: the owner was told too, and whoever becomes the owner looks at once.
      entry.throttle = { ...entry.throttle, isDirty: false };
      entry.causes = [];
      return;
    }
    entry.throttle = began(entry.throttle, nowMs());
    const causes = entry.causes.splice(0);
    try {
      const iteration = await converger.converge(group, causes);
      entry.history = [iteration, ...entry.history].slice(0, HISTORY_MAX);
      // A step that has to be tried again is an event of its own.
      if (iteration.performed.some(({ result }) => result === 'retry'))
        tell(group, 'steps to retry');
      else if (iteration.planned.length > 0) tell(group, 'steps performed');
    } catch (error) {
      log.warn({ group, err: error }, 'iteration failed');
      tell(group, 'iteration failed');
    } finally {
      entry.throttle = ended(entry.throttle);
      look(group, entry);
    }
  }

  function tell(group: GroupName, cause: string): void {
    const entry = entryOf(group);
    entry.throttle = told(entry.throttle);
    if (entry.causes.length < CAUSES_MAX) entry.causes.push(cause);
    look(group, entry);
  }

  return {
    tell,
    history: (group) => entries.get(group)?.history ?? [],
    async [Symbol.asyncDispose]() {
      isClosed = true;
      for (const entry of entries.values()) clearTimeout(entry.timer);
      await Promise.allSettled([...entries.values()].map((entry) => entry.running));
    },
  };
}
