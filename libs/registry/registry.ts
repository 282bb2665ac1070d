/**
 * The registry as services see it: our own record kept alive, a view of everybody else, leases.
 * `redis-registry.ts` implements it. Redis away: the last view stays, nothing is removed.
 */
import type { InstanceRecord, InstanceState, Role } from '#libs/contracts/instance-record.ts';
import type { Lease } from './lease.ts';

export interface RegistryChange {
  readonly event: 'joined' | 'changed' | 'left';
  readonly record: InstanceRecord;
}

export interface Registry extends AsyncDisposable {
  /** Our own record as last written. */
  readonly self: InstanceRecord;
  /** Everybody as last seen, self included; a view that is never torn. */
  readonly view: readonly InstanceRecord[];
  /** False while Redis does not answer: `view` is the last one. */
  readonly isViewFresh: boolean;

  /**
   * Writes a change of our record at once and announces it on the bus. Resolves once that was tried and never rejects:
   * with Redis away the record is written as soon as it is back.
   */
  update(change: {
    readonly state?: InstanceState;
    readonly readyMs?: number;
    readonly caps?: Readonly<Record<string, string>>;
    readonly load?: Readonly<Record<string, number>>;
    readonly link?: string;
  }): Promise<void>;

  /** Calls back on each join, change and leave, beginning with a `joined` for everybody known. */
  watch(listener: (change: RegistryChange) => void): Disposable;
  /** Records of a role that are ready. */
  ready(role: Role): readonly InstanceRecord[];

  /** Tries to take a lease; `undefined` if somebody else holds it. @throws {Error} if Redis does not answer */
  acquireLease(resource: string, ttlMs: number): Promise<Lease | undefined>;

  /**
   * Calls back when Redis turns out to be a new store (restarted, emptied, failed over, or away for long): write again
   * what you own. A listener that throws is called again until it does not.
   */
  onNewStoreGeneration(listener: () => Promise<void> | void): Disposable;
}
