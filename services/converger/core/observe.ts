/** From what driver and registry tell to conditions of instances. All policy about health is in this table. */
import type {
  Condition,
  DriverProcess,
  GroupName,
  HeartbeatRecord,
  Instance,
  Observed,
} from './model.ts';

/** [ms] A process that is not ready by then is replaced. */
export const START_TIMEOUT_MS = 60_000;
/** [ms] A process that was ready and whose heartbeat is gone for as long as a registry TTL is sick: the TTL did the waiting. */
const NO_RECORD_GRACE_MS = 20_000;

export interface Sighting {
  readonly processes: readonly DriverProcess[];
  readonly heartbeats: readonly HeartbeatRecord[];
  /** False while the registry's view is only the last one known. */
  readonly isViewFresh: boolean;
  /** [ms] by name, when we asked it to drain */
  readonly drainingSinceMs: ReadonlyMap<string, number>;
  readonly heldBackUntilMs: ReadonlyMap<string, number>;
}

/** What is seen of one group. */
export function observeGroup(group: GroupName, sighting: Sighting, nowMs: number): Observed {
  const heartbeats = new Map(sighting.heartbeats.map((record) => [record.id, record]));
  const instances = sighting.processes
    .filter((process) => process.group === group)
    .map((process) => instanceOf(process, heartbeats.get(process.name), sighting, nowMs));
  const { heldBackUntilMs } = sighting;
  return {
    group,
    instances: guardMassLoss(instances),
    isComplete: sighting.isViewFresh,
    heldBackUntilMs,
  };
}

function instanceOf(
  process: DriverProcess,
  heartbeat: HeartbeatRecord | undefined,
  sighting: Sighting,
  nowMs: number,
): Instance {
  const { name, group, createdMs } = process;
  const drainingMs = sighting.drainingSinceMs.get(name) ?? 0;
  const condition = conditionOf(process, heartbeat, sighting.isViewFresh, drainingMs > 0, nowMs);
  return { name, group, condition, startedMs: createdMs, drainingMs };
}

function conditionOf(
  process: DriverProcess,
  heartbeat: HeartbeatRecord | undefined,
  isViewFresh: boolean,
  isDraining: boolean,
  nowMs: number,
): Condition {
  const ageMs = nowMs - process.createdMs;
  if (!process.isAlive) return 'dead';
  if (isDraining || heartbeat?.state === 'draining') return 'draining';
  if (heartbeat?.state === 'ready') return 'serving';
  if (!isViewFresh) return ageMs < START_TIMEOUT_MS ? 'building' : 'serving'; // Unknown is not sick.
  if (heartbeat === undefined) return ageMs < NO_RECORD_GRACE_MS ? 'building' : 'sick';
  return ageMs < START_TIMEOUT_MS ? 'building' : 'sick';
}

/**
 * Many heartbeats that vanish at once say more about the registry than about the instances: then nobody is called sick.
 * One of a pair may be sick; both together, or more than half of a larger group, may not.
 */
function guardMassLoss(instances: readonly Instance[]): readonly Instance[] {
  const living = instances.filter((instance) => instance.condition !== 'dead');
  const sick = living.filter((instance) => instance.condition === 'sick');
  if (sick.length === 0 || sick.length === 1 || sick.length * 2 <= living.length) return instances;
  return instances.map((instance) =>
    instance.condition === 'sick' ? { ...instance, condition: 'serving' } : instance,
  );
}
