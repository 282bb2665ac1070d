/**
 * Leases: at most one holder believes it may act; fencing makes the belief harmless when wrong.
 *
 * Note [Fencing]
 * A lease ends by TTL on Redis' clock, so a holder that was paused (GC, SIGSTOP, VM move) may still act after it lost the
 * lease. Every acquire therefore takes a larger token and writes it into the guard at once; every guarded write carries
 * its token, and the store refuses one smaller than the newest it has seen. Losing a lease needs no message: the next
 * guarded write throws `StaleLeaseError` and the holder steps down. Tokens are max(last + 1, Redis' clock in µs), so they
 * also grow when Redis lost the last one.
 */
import { randomBytes } from 'node:crypto';
import type { Redis } from 'ioredis';
import { keys } from '#libs/contracts/keys.ts';
import { StaleLeaseError } from './errors.ts';
import type { Lease } from './lease.ts';
import { ACQUIRE_LEASE, PUT_GUARDED, RELEASE_LEASE, RENEW_LEASE, runScript } from './scripts.ts';

/**
 * Tries to take the lease of a resource.
 *
 * @param ttlMs [ms] how long it is held without renewal
 * @returns undefined if somebody else holds it
 * @throws {Error} if Redis does not answer
 */
export async function acquireLease(
  redis: Redis,
  resource: string,
  ttlMs: number,
): Promise<Lease | undefined> {
  const owner = randomBytes(16).toString('hex');
  const scriptKeys = [keys.lease(resource), keys.leaseToken(resource), keys.leaseGuard(resource)];
  const token = await runScript(redis, ACQUIRE_LEASE, scriptKeys, [owner, ttlMs]);
  return typeof token === 'string'
    ? new RedisLease(redis, resource, Number(token), owner, ttlMs)
    : undefined;
}

class RedisLease implements Lease {
  readonly resource: string;
  readonly token: number;
  readonly #redis: Redis;
  readonly #owner: string;
  readonly #ttlMs: number;

  constructor(redis: Redis, resource: string, token: number, owner: string, ttlMs: number) {
    this.resource = resource;
    this.token = token;
    this.#redis = redis;
    this.#owner = owner;
    this.#ttlMs = ttlMs;
  }

  async renew(): Promise<boolean> {
    return (
      (await runScript(
        this.#redis,
        RENEW_LEASE,
        [keys.lease(this.resource)],
        [this.#owner, this.#ttlMs],
      )) === 1
    );
  }

  async putGuarded(name: string, value: string): Promise<void> {
    const scriptKeys = [keys.leaseGuard(this.resource), keys.guarded(this.resource, name)];
    const written = await runScript(this.#redis, PUT_GUARDED, scriptKeys, [
      String(this.token),
      value,
    ]);
    if (written !== 1) throw new StaleLeaseError(this.resource, this.token);
  }

  async release(): Promise<void> {
    await runScript(this.#redis, RELEASE_LEASE, [keys.lease(this.resource)], [this.#owner]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release().catch(() => undefined); // It ends by its TTL.
  }
}
