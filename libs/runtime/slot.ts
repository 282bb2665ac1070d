/**
 * Slots: the numbered Unix sockets of the edge folder that HAProxy knows, so that instances come and go without a reload.
 * A slot is ours by lease; somebody alive on its socket keeps it even if the lease was lost with Redis.
 */
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Lease } from '#libs/registry/lease.ts';
import type { Registry } from '#libs/registry/registry.ts';
import { UnavailableError } from './errors.ts';

export { isServing } from './listen-unix.ts';

export interface SlotOptions {
  readonly registry: Pick<Registry, 'acquireLease'>;
  /** The edge folder. */
  readonly folder: string;
  readonly kind: 'fe' | 'http' | 'api';
  /** How many there are: 1 to count. */
  readonly count: number;
  /** Whether somebody is alive on the slot's socket. */
  readonly isServing: (slot: number) => Promise<boolean>;
}

export interface Slot extends AsyncDisposable {
  readonly number: number;
}

/** [ms] */
const LEASE_TTL_MS = 10_000;
const RENEW_MS = 3_000;
const TRY_AGAIN_MS = 1_000;
/** [ms] a killed holder's lease ends in its TTL; longer, and all slots are really taken */
const GIVE_UP_MS = 30_000;

/**
 * Takes the first slot that is free; with Redis away, as soon as it is back.
 *
 * @throws {UnavailableError} if there is none for 30 s
 */
export async function claimSlot(options: SlotOptions): Promise<Slot> {
  let cause: unknown;
  for (let waitedMs = 0; waitedMs <= GIVE_UP_MS; waitedMs += TRY_AGAIN_MS) {
    try {
      const slot = await claimFirst(options);
      if (slot !== undefined) return slot;
      cause = undefined;
    } catch (error) {
      cause = error;
    }
    await sleep(TRY_AGAIN_MS);
  }
  const why = cause === undefined ? `all ${options.count} are taken` : 'Redis does not answer';
  throw new UnavailableError(`Cannot claim an ${options.kind} slot in ${options.folder}: ${why}`, {
    cause,
  });
}

async function claimFirst(options: SlotOptions): Promise<Slot | undefined> {
  for (let number = 1; number <= options.count; number += 1) {
    const lease = await tryClaim(options, number);
    if (lease !== undefined) return hold(options, number, lease);
  }
  return undefined;
}

function resourceOf({ folder, kind }: SlotOptions, number: number): string {
  const hash = createHash('sha256').update(folder).digest('hex').slice(0, 12);
  return `slot:${hash}:${kind}:${number}`;
}

async function tryClaim(options: SlotOptions, number: number): Promise<Lease | undefined> {
  if (await options.isServing(number)) return undefined;
  const lease = await options.registry.acquireLease(resourceOf(options, number), LEASE_TTL_MS);
  if (lease === undefined) return undefined;
  if (!(await options.isServing(number))) return lease;
  await lease.release();
  return undefined;
}

function hold(options: SlotOptions, number: number, first: Lease): Slot {
  let lease: Lease | undefined = first;
  const timer = setInterval(() => void renew(), RENEW_MS);
  timer.unref();

  async function renew(): Promise<void> {
    try {
      if (lease !== undefined && !(await lease.renew())) lease = undefined;
      lease ??= await options.registry.acquireLease(resourceOf(options, number), LEASE_TTL_MS);
    } catch {
      // Redis is away: our living socket holds the slot meanwhile.
    }
  }
  return {
    number,
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      await lease?.release().catch(() => undefined); // It ends by its TTL.
    },
  };
}
