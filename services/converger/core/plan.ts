/** The planner: (desired, observed, now) -> steps. Pure and total: same input, same plan, whatever the order of the view. */
import type { Desired, Instance, Observed } from './model.ts';
import type { Step } from './step.ts';

/** [ms] A draining instance that is still there is killed. Services end their own drain before. */
export const DRAIN_TIMEOUT_MS = 75_000;

/** `jobmanager/ltc`, 2 -> `jobmanager-ltc-2`: deterministic, so that a double create collides instead of doubling. */
export function instanceName(group: string, ordinal: number): string {
  return `${group.replaceAll('/', '-')}-${ordinal}`;
}

/** What has to be done to the group now. Removes nothing on a partial view, and nothing before what replaces it serves. */
export function plan(desired: Desired, observed: Observed, nowMs: number): readonly Step[] {
  const { group } = desired;
  const of = (...conditions: readonly Instance['condition'][]) =>
    observed.instances.filter((instance) => conditions.includes(instance.condition));
  const capacity = of('serving', 'building').toSorted(byDeletionOrder);
  const surplus = Math.max(0, capacity.length - desired.count);
  return [
    ...of('dead')
      .toSorted(byName)
      .map((instance): Step => ({ kind: 'forget_instance', group, name: instance.name })),
    ...starts(desired.count - capacity.length, desired, observed, nowMs),
    ...(observed.isComplete ? removals(capacity.slice(0, surplus), desired, observed, nowMs) : []),
  ];
}

function starts(
  missing: number,
  desired: Desired,
  observed: Observed,
  nowMs: number,
): readonly Step[] {
  const { group } = desired;
  const taken = new Set(
    observed.instances.filter((i) => i.condition !== 'dead').map((instance) => instance.name),
  );
  const steps: Step[] = [];
  for (let ordinal = 1; steps.length < missing; ordinal += 1) {
    const name = instanceName(group, ordinal);
    if (taken.has(name)) continue;
    if ((observed.heldBackUntilMs.get(name) ?? 0) > nowMs) {
      steps.push({ kind: 'wait', group, reason: `${name} keeps ending: held back` });
    } else steps.push({ kind: 'start_instance', group, name });
  }
  return steps;
}

function removals(
  surplus: readonly Instance[],
  desired: Desired,
  observed: Observed,
  nowMs: number,
): readonly Step[] {
  const { group } = desired;
  const serving = observed.instances.filter((instance) => instance.condition === 'serving').length;
  const steps: Step[] = surplus.map(({ name }) => ({ kind: 'drain_instance', group, name }));
  for (const { name, condition, drainingMs } of observed.instances.toSorted(byName)) {
    if (condition === 'sick' && serving >= Math.min(desired.count, 1))
      steps.push({ kind: 'kill_instance', group, name, reason: 'sick' });
    if (condition === 'draining' && drainingMs > 0 && nowMs - drainingMs > DRAIN_TIMEOUT_MS)
      steps.push({ kind: 'kill_instance', group, name, reason: 'drain_timeout' });
  }
  return steps;
}

/** Building first, then the oldest, then by name: a total order, so that two planners choose the same ones. */
function byDeletionOrder(a: Instance, b: Instance): number {
  const building = Number(b.condition === 'building') - Number(a.condition === 'building');
  return building || a.startedMs - b.startedMs || byName(a, b);
}

function byName(a: Instance, b: Instance): number {
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}
