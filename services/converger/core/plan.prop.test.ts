import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DEFAULT_BOUNDS, limit } from './limit.ts';
import type { Condition, Desired, Instance, Observed } from './model.ts';
import { DRAIN_TIMEOUT_MS, instanceName, plan } from './plan.ts';
import type { Step } from './step.ts';

const GROUP = 'stratum-server';
const CONDITIONS: readonly Condition[] = ['building', 'serving', 'draining', 'sick', 'dead'];

const desired: fc.Arbitrary<Desired> = fc
  .integer({ min: 0, max: 30 })
  .map((count) => ({ group: GROUP, count, source: 'config' }));

const instances: fc.Arbitrary<readonly Instance[]> = fc
  .uniqueArray(
    fc.record({
      ordinal: fc.integer({ min: 1, max: 40 }),
      condition: fc.constantFrom(...CONDITIONS),
      startedMs: fc.integer({ min: 0, max: 1_000_000 }),
    }),
    { selector: ({ ordinal }) => ordinal, maxLength: 30 },
  )
  .map((list) =>
    list.map(({ ordinal, condition, startedMs }) => ({
      name: instanceName(GROUP, ordinal),
      group: GROUP,
      condition,
      startedMs,
      drainingMs: condition === 'draining' ? startedMs + 1 : 0,
    })),
  );

function observed(list: readonly Instance[], isComplete = true): Observed {
  return { group: GROUP, instances: list, isComplete, heldBackUntilMs: new Map() };
}

/** What a perfect runtime would make of the steps by the next round. */
function apply(
  list: readonly Instance[],
  steps: readonly Step[],
  nowMs: number,
): readonly Instance[] {
  const world = new Map(list.map((instance) => [instance.name, instance]));
  for (const step of steps) {
    if (step.kind === 'forget_instance' || step.kind === 'kill_instance') world.delete(step.name);
    if (step.kind === 'start_instance') {
      if (world.has(step.name)) throw new Error(`started twice: ${step.name}`);
      world.set(step.name, {
        name: step.name,
        group: GROUP,
        condition: 'building',
        startedMs: nowMs,
        drainingMs: 0,
      });
    }
    if (step.kind === 'drain_instance') {
      const instance = world.get(step.name);
      if (instance !== undefined)
        world.set(step.name, { ...instance, condition: 'draining', drainingMs: nowMs });
    }
  }
  return [...world.values()].map((instance) => {
    if (instance.condition === 'building' && instance.startedMs < nowMs)
      return { ...instance, condition: 'serving' as const };
    return instance;
  });
}

const count = (list: readonly Instance[], ...conditions: readonly Condition[]) =>
  list.filter((instance) => conditions.includes(instance.condition)).length;

describe('plan()', () => {
  test('reaches desired from any state within a bounded number of rounds', () => {
    fc.assert(
      fc.property(desired, instances, (want, start) => {
        let world = start;
        let nowMs = 2_000_000;
        for (let round = 0; round < 150; round += 1) {
          nowMs += DRAIN_TIMEOUT_MS / 10;
          world = apply(
            world,
            limit(plan(want, observed(world), nowMs), want.count, DEFAULT_BOUNDS),
            nowMs,
          );
        }
        expect(plan(want, observed(world), nowMs)).toEqual([]);
        expect(count(world, 'serving')).toBe(want.count);
        expect(world.length).toBe(want.count);
      }),
    );
  });

  test('removes nothing on a partial view, and never goes below the smaller of desired and actual', () => {
    fc.assert(
      fc.property(desired, instances, (want, list) => {
        const partial = plan(want, observed(list, false), 2_000_000);
        expect(
          partial.some(({ kind }) => kind === 'drain_instance' || kind === 'kill_instance'),
        ).toBe(false);

        const after = apply(list, plan(want, observed(list), 2_000_000), 2_000_000);
        const before = count(list, 'serving', 'building');
        expect(count(after, 'serving', 'building')).toBeGreaterThanOrEqual(
          Math.min(want.count, before),
        );
      }),
    );
  });

  test('chooses the same ones whatever the order of the view', () => {
    fc.assert(
      fc.property(desired, instances, fc.infiniteStream(fc.nat()), (want, list, dice) => {
        const shuffled = list
          .map((instance) => ({ instance, at: dice.next().value ?? 0 }))
          .toSorted((a, b) => a.at - b.at);
        expect(plan(want, observed(shuffled.map(({ instance }) => instance)), 2_000_000)).toEqual(
          plan(want, observed(list), 2_000_000),
        );
      }),
    );
  });

  test('goes on from building to oldest when it has too many', () => {
    const of = (ordinal: number, condition: Condition, startedMs: number): Instance => ({
      name: instanceName(GROUP, ordinal),
      group: GROUP,
      condition,
      startedMs,
      drainingMs: 0,
    });
    const list = [of(1, 'serving', 300), of(2, 'serving', 100), of(3, 'building', 900)];
    expect(plan({ group: GROUP, count: 1, source: 'api' }, observed(list), 1_000)).toEqual([
      { kind: 'drain_instance', group: GROUP, name: 'stratum-server-3' },
      { kind: 'drain_instance', group: GROUP, name: 'stratum-server-2' },
    ]);
  });
});

describe('limit()', () => {
  test('adds 7 or 10 % and removes one in an iteration', () => {
    const start = (n: number): Step => ({
      kind: 'start_instance',
      group: GROUP,
      name: instanceName(GROUP, n),
    });
    const many = Array.from({ length: 500 }, (_, n) => start(n + 1));
    expect(limit(many, 50, DEFAULT_BOUNDS).length).toBe(7);
    expect(limit(many, 2_000, DEFAULT_BOUNDS).length).toBe(200);
    const drains = many.map(
      ({ group }, n): Step => ({ kind: 'drain_instance', group, name: instanceName(GROUP, n) }),
    );
    expect(limit(drains, 0, DEFAULT_BOUNDS).length).toBe(1);
  });
});
