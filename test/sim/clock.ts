/**
 * Virtual time, and processes that live in it. While a simulation runs, the global timers are these: the real code
 * sets its timers as ever, and each belongs to the process that set it.
 *
 * Note [Processes in virtual time]
 * Everything is an event of a process at a time. A frozen process keeps its events until it wakes, and then takes them
 * late, as after SIGSTOP. A dead one takes none: what it was doing goes on to the end of its callback as a ghost, but
 * `isDead` keeps everything it says and writes from leaving, so that it can die between any two effects of one turn.
 * Promises are real: after each event all microtasks run before the next one, in the same process.
 */
import type { Dice } from './dice.ts';

export interface Process {
  readonly name: string;
  isDead: boolean;
  isFrozen: boolean;
  /** What came while it was frozen. */
  readonly kept: Happening[];
}

interface Happening {
  readonly order: number;
  readonly process: Process | undefined;
  readonly isTimer: boolean;
  readonly run: () => void;
  atMs: number;
  isOff: boolean;
}

/** What `setTimeout` and its kin give back here. */
class Timer {
  happening: Happening | undefined;
  ref(): this {
    return this;
  }
  unref(): this {
    return this;
  }
  hasRef(): boolean {
    return true;
  }
  [Symbol.dispose](): void {
    if (this.happening !== undefined) this.happening.isOff = true;
    this.happening = undefined;
  }
}

const KEPT_FIRST = 2 ** 40;

const realImmediate = setImmediate;

export class Clock {
  nowMs = 0;
  /** Whose callback runs. */
  current: Process | undefined;
  /** The first error that escaped a callback. */
  failure: unknown;
  readonly #dice: Dice;
  readonly #queue: Happening[] = [];
  #made = 0;

  constructor(dice: Dice) {
    this.#dice = dice;
  }

  spawn(name: string): Process {
    return { name, isDead: false, isFrozen: false, kept: [] };
  }

  /** Has `process` (or, with undefined, the world around all of them) run something later. */
  post(process: Process | undefined, delayMs: number, run: () => void, isTimer = false): Happening {
    const atMs = this.nowMs + Math.max(0, Math.round(delayMs));
    this.#made += 1;
    const happening = { order: this.#made, process, isTimer, run, atMs, isOff: false };
    this.#push(happening);
    return happening;
  }

  /** Resolves in the same process after `delayMs`; never if that dies. */
  wait(delayMs: number, process = this.current): Promise<void> {
    return new Promise((resolve) => void this.post(process, delayMs, resolve));
  }

  /** What it kept comes now: sometimes timers first, sometimes messages. */
  wake(process: Process): void {
    process.isFrozen = false;
    const kept = process.kept.splice(0);
    const timersFirst = this.#dice.chance(0.5);
    const [timers, rest] = [kept.filter((one) => one.isTimer), kept.filter((one) => !one.isTimer)];
    for (const one of timersFirst ? [...timers, ...rest] : [...rest, ...timers]) {
      one.atMs = this.nowMs;
      this.#made += 1;
      this.#push(Object.assign(one, { order: this.#made - KEPT_FIRST })); // Before what comes just now.
    }
  }

  async run(untilMs: number): Promise<void> {
    for (let next = this.#queue[0]; next !== undefined; next = this.#queue[0]) {
      if (next.atMs > untilMs || this.failure !== undefined) break;
      this.#pop();
      this.nowMs = Math.max(this.nowMs, next.atMs);
      if (next.isOff || next.process?.isDead === true) continue;
      if (next.process?.isFrozen === true) next.process.kept.push(next);
      else await this.#take(next);
    }
    this.nowMs = Math.max(this.nowMs, untilMs);
  }

  async #take({ process, run }: Happening): Promise<void> {
    this.current = process;
    try {
      run();
    } catch (error) {
      this.failure ??= error;
    }
    await new Promise((resolve) => realImmediate(resolve)); // All microtasks, in the same process.
    this.current = undefined;
  }

  /** Puts these timers in the place of the global ones until disposed. */
  install(): Disposable {
    const real = { setTimeout, setInterval, setImmediate, clearTimeout, clearInterval };
    const set = (delayMs: number, run: () => void, again: boolean) => {
      const timer = new Timer();
      const process = this.current;
      const plan = () => {
        timer.happening = this.post(
          process,
          delayMs,
          () => {
            if (again) plan();
            run();
          },
          true,
        );
      };
      plan();
      return timer;
    };
    const clear = (timer: unknown) => {
      if (timer instanceof Timer) timer[Symbol.dispose]();
      else real.clearTimeout(timer as NodeJS.Timeout);
    };
    Object.assign(globalThis, {
      setTimeout: (run: () => void, delayMs = 1) => set(delayMs, run, false),
      setInterval: (run: () => void, delayMs = 1) => set(delayMs, run, true),
      setImmediate: (run: () => void) => set(0, run, false),
      clearTimeout: clear,
      clearInterval: clear,
    });
    return { [Symbol.dispose]: () => void Object.assign(globalThis, real) };
  }

  #push(happening: Happening): void {
    const queue = this.#queue;
    let at = queue.push(happening) - 1;
    while (at > 0) {
      const above = (at - 1) >> 1;
      if (!isSooner(queue, at, above)) return;
      swap(queue, at, above);
      at = above;
    }
  }

  #pop(): void {
    const queue = this.#queue;
    const last = queue.pop();
    if (queue.length === 0 || last === undefined) return;
    queue[0] = last;
    for (let at = 0; ; ) {
      const [left, right] = [2 * at + 1, 2 * at + 2];
      let least = at;
      if (isSooner(queue, left, least)) least = left;
      if (isSooner(queue, right, least)) least = right;
      if (least === at) return;
      swap(queue, at, least);
      at = least;
    }
  }
}

function isSooner(queue: readonly Happening[], a: number, b: number): boolean {
  const [one, other] = [queue[a], queue[b]];
  if (one === undefined || other === undefined) return false;
  return one.atMs < other.atMs || (one.atMs === other.atMs && one.order < other.order);
}

function swap(queue: Happening[], a: number, b: number): void {
  const [one, other] = [queue[a], queue[b]];
  if (one === undefined || other === undefined) return;
  queue[a] = other;
  queue[b] = one;
}
