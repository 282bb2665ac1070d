/**
 * Desired counts: the configuration's, and what was set over the API, which wins until `seam config apply` removes it.
 * Redis away: the last known ones stay (claims frozen).
 */
import type { Redis } from 'ioredis';
import { z } from 'zod';
import { keys } from '#libs/contracts/keys.ts';
import { COUNT_MAX } from '../core/groups.ts';
import type { Desired, GroupName } from '../core/model.ts';

const override = z.object({ count: z.coerce.number().int().min(0).max(COUNT_MAX) });

export interface DesiredStore {
  /** All groups; `isFresh` false when Redis did not answer and the last known ones are given. */
  read(): Promise<{ readonly groups: readonly Desired[]; readonly isFresh: boolean }>;
  readonly known: ReadonlySet<GroupName>;
  /** @throws {Error} if Redis does not take it */
  set(group: GroupName, count: number, nowMs: number): Promise<void>;
  /** Replaces what the configuration says. */
  configure(groups: readonly Desired[]): void;
}

export function createDesiredStore(redis: Redis, initial: readonly Desired[]): DesiredStore {
  let configured = initial;
  let last = initial;
  return {
    get known() {
      return new Set(configured.map((desired) => desired.group));
    },
    async read() {
      try {
        last = await Promise.all(configured.map((desired) => withOverride(redis, desired)));
        return { groups: last, isFresh: true };
      } catch {
        return { groups: last, isFresh: false }; // Redis is away: the registry's own metric tells that.
      }
    },
    async set(group, count, nowMs) {
      await redis.hset(keys.group(group), { count: String(count), setMs: String(nowMs) });
    },
    configure(groups) {
      configured = groups;
    },
  };
}

async function withOverride(redis: Redis, desired: Desired): Promise<Desired> {
  const parsed = override.safeParse(await redis.hgetall(keys.group(desired.group)));
  return parsed.success ? { ...desired, count: parsed.data.count, source: 'api' } : desired;
}
