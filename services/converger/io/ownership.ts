/**
 * Who may act on a group: the holder of its lease, at most one at a time (mode `partition`). Losing a lease needs no
 * message: renewing it fails, and the owner steps down.
 */
import type { Logger } from 'pino';
import type { Lease } from '#libs/registry/lease.ts';
import type { Registry } from '#libs/registry/registry.ts';
import type { GroupName } from '../core/model.ts';

export interface Ownership extends AsyncDisposable {
  owns(group: GroupName): boolean;
  /** Tries at once, because somebody may have let go. */
  tryNow(group: GroupName): void;
}

/** [ms] */
const LEASE_TTL_MS = 10_000;
const ROUND_MS = 3_000;

export interface OwnershipOptions {
  readonly registry: Registry;
  readonly groups: () => ReadonlySet<GroupName>;
  readonly onOwned: (group: GroupName) => void;
  readonly log: Logger;
}

export function createOwnership(options: OwnershipOptions): Ownership {
  return new LeaseOwnership(options);
}

class LeaseOwnership implements Ownership {
  readonly #options: OwnershipOptions;
  readonly #leases = new Map<GroupName, Lease>();
  readonly #busy = new Set<GroupName>();
  readonly #timer: NodeJS.Timeout;
  #isClosed = false;

  constructor(options: OwnershipOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#round(), ROUND_MS);
    this.#round();
  }

  owns(group: GroupName): boolean {
    return this.#leases.has(group);
  }

  tryNow(group: GroupName): void {
    if (this.#isClosed || this.#busy.has(group)) return;
    this.#busy.add(group);
    void this.#attend(group).finally(() => this.#busy.delete(group));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#timer);
    const held = [...this.#leases.values()];
    this.#leases.clear();
    await Promise.allSettled(held.map((lease) => lease.release()));
  }

  #round(): void {
    const groups = this.#options.groups();
    for (const group of this.#leases.keys()) if (!groups.has(group)) void this.#letGo(group);
    for (const group of groups) this.tryNow(group);
  }

  async #attend(group: GroupName): Promise<void> {
    const { registry, onOwned, log } = this.#options;
    try {
      const held = this.#leases.get(group);
      if (held !== undefined) {
        if (await held.renew()) return;
        this.#leases.delete(group);
        log.warn({ group }, 'lease lost');
        return;
      }
      const lease = await registry.acquireLease(`group:${group}`, LEASE_TTL_MS);
      if (lease === undefined) return;
      if (this.#isClosed) return await lease.release();
      this.#leases.set(group, lease);
      log.info({ group, token: lease.token }, 'group owned');
      onOwned(group);
    } catch (error) {
      // Redis is away: whoever owned a group keeps thinking so, and only acts on what it may do without a lease.
      log.debug({ group, err: error }, 'lease not renewed');
    }
  }

  async #letGo(group: GroupName): Promise<void> {
    const lease = this.#leases.get(group);
    this.#leases.delete(group);
    await lease
      ?.release()
      .catch((error: unknown) =>
        this.#options.log.debug({ group, err: error }, 'lease not released'),
      );
  }
}
