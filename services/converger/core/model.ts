/** What the converger thinks in: groups, instances, what is desired and what was observed. Data only. */

/** A named set of instances of one service, such as `stratum-server` or `jobmanager/ltc`. */
export type GroupName = string;

export interface Desired {
  readonly group: GroupName;
  /** [instances] */
  readonly count: number;
  /** Who set it: the configuration or the API. */
  readonly source: 'config' | 'api';
}

/**
 * What was seen of an instance:
 * `building` started, not ready yet; `serving` ready; `draining` leaving; `sick` runs, but its heartbeat is gone or it
 * never became ready; `dead` its process ended and only the record is left.
 */
export type Condition = 'building' | 'serving' | 'draining' | 'sick' | 'dead';

export interface Instance {
  readonly name: string;
  readonly group: GroupName;
  readonly condition: Condition;
  /** [ms] when its process was started */
  readonly startedMs: number;
  /** [ms] when it began to drain; 0: it does not */
  readonly drainingMs: number;
}

export interface Observed {
  readonly group: GroupName;
  readonly instances: readonly Instance[];
  /** False: something could not be seen, so nothing may be removed. */
  readonly isComplete: boolean;
  /** [ms] before which a name must not be started again, because it keeps dying. */
  readonly heldBackUntilMs: ReadonlyMap<string, number>;
}

/** A process of this host, as the driver tells it. */
export interface DriverProcess {
  readonly name: string;
  readonly group: GroupName;
  readonly isAlive: boolean;
  readonly createdMs: number;
}

/** A registry record, as far as it matters here. */
export interface HeartbeatRecord {
  readonly id: string;
  readonly state: 'starting' | 'ready' | 'draining';
}
