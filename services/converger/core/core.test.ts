import { describe, expect, test } from 'vitest';
import { afterExit } from './hold-back.ts';
import type { DriverProcess, HeartbeatRecord } from './model.ts';
import { observeGroup, type Sighting, START_TIMEOUT_MS } from './observe.ts';
import { groupOfEvent } from './observer.ts';
import { began, decide, ended, IDLE_THROTTLE, told } from './throttle.ts';

const NOW_MS = 1_000_000;

function sighting(parts: Partial<Sighting>): Sighting {
  return {
    processes: [],
    heartbeats: [],
    isViewFresh: true,
    drainingSinceMs: new Map(),
    heldBackUntilMs: new Map(),
    ...parts,
  };
}
function process(name: string, ageMs: number, isAlive = true): DriverProcess {
  return { name, group: 'g', isAlive, createdMs: NOW_MS - ageMs };
}
const beat = (id: string, state: HeartbeatRecord['state']): HeartbeatRecord => ({ id, state });

describe('observeGroup()', () => {
  const rows: readonly [string, Partial<Sighting>, string][] = [
    [
      'a process without a record is building at first',
      { processes: [process('a', 100)] },
      'building',
    ],
    [
      'a ready one serves',
      { processes: [process('a', 100)], heartbeats: [beat('a', 'ready')] },
      'serving',
    ],
    [
      'an ended one is dead, whatever its record says',
      { processes: [process('a', 100, false)], heartbeats: [beat('a', 'ready')] },
      'dead',
    ],
    ['one whose heartbeat is gone is sick', { processes: [process('a', 120_000)] }, 'sick'],
    [
      'one that never became ready is sick',
      { processes: [process('a', START_TIMEOUT_MS)], heartbeats: [beat('a', 'starting')] },
      'sick',
    ],
    [
      'nobody is sick while the view is stale',
      { processes: [process('a', 120_000)], isViewFresh: false },
      'serving',
    ],
    [
      'one that was asked to drain drains',
      {
        processes: [process('a', 100)],
        heartbeats: [beat('a', 'ready')],
        drainingSinceMs: new Map([['a', 5]]),
      },
      'draining',
    ],
  ];
  test.each(rows)('%s', (_name, parts, condition) => {
    const { instances } = observeGroup('g', sighting(parts), NOW_MS);
    expect(instances.map((instance) => instance.condition)).toEqual([condition]);
  });

  test('many heartbeats that vanish at once make nobody sick', () => {
    const processes = ['a', 'b', 'c'].map((name) => process(name, 120_000));
    const all = observeGroup('g', sighting({ processes }), NOW_MS);
    expect(all.instances.map((instance) => instance.condition)).toEqual([
      'serving',
      'serving',
      'serving',
    ]);
    const one = observeGroup(
      'g',
      sighting({ processes, heartbeats: [beat('a', 'ready'), beat('b', 'ready')] }),
      NOW_MS,
    );
    expect(one.instances.map((instance) => instance.condition)).toEqual([
      'serving',
      'serving',
      'sick',
    ]);
  });
});

describe('throttle', () => {
  test('one hundred calls within the interval are one run at once and one after it', () => {
    let throttle = told(IDLE_THROTTLE);
    let runs = 0;
    for (let nowMs = 0; nowMs <= 4_000; nowMs += 10) {
      if (nowMs < 1_000) throttle = told(throttle);
      if (decide(throttle, 2_000, nowMs).kind === 'run') {
        throttle = ended(began(throttle, nowMs));
        runs += 1;
      }
    }
    expect(runs).toBe(2);
    expect(decide(throttle, 2_000, 9_000)).toEqual({ kind: 'nothing' });
  });

  test('what is told while one runs is not lost', () => {
    const running = told(began(told(IDLE_THROTTLE), 0));
    expect(decide(running, 2_000, 5_000)).toEqual({ kind: 'nothing' });
    expect(decide(ended(running), 2_000, 5_000)).toEqual({ kind: 'run' });
  });
});

describe('afterExit()', () => {
  test('a first end is made good at once, a row of them ever later, up to 30 s', () => {
    let exits = afterExit(undefined, 100, 1, 0);
    expect(exits).toEqual({ count: 1, heldBackUntilMs: 0 });
    const delays = Array.from(
      { length: 10 },
      () => (exits = afterExit(exits, 100, 1, 0)).heldBackUntilMs,
    );
    expect(delays.slice(0, 3)).toEqual([500, 1_000, 2_000]);
    expect(delays.at(-1)).toBe(30_000);
    expect(afterExit(exits, 100_000, 1, 0)).toEqual({ count: 1, heldBackUntilMs: 0 });
  });
  test('a wrong configuration is not tried again soon', () => {
    expect(afterExit(undefined, 100, 78, 0).heldBackUntilMs).toBe(30_000);
  });
});

describe('groupOfEvent()', () => {
  test('of many mixed events only those of known groups come out', () => {
    const known = new Set(['g']);
    const events = Array.from({ length: 10_000 }, (_, n) => ({
      kind: 'instance_changed' as const,
      event: 'left' as const,
      group: n % 10 === 0 ? 'g' : `other${n}`,
      id: `i${n}`,
      state: 'ready',
    }));
    const out = events
      .map((event) => groupOfEvent(event, known))
      .filter((one) => one !== undefined);
    expect(out.length).toBe(1_000);
    expect(new Set(out.map((one) => one.group))).toEqual(known);
  });
});
