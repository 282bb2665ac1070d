/**
 * Marks in Redis that say which server took over the session with an extranonce1, for the one that gave the value out.
 *
 * Note [Extranonce marks]
 * A server that closed a connection cannot know that its miner went on elsewhere: it resumed there, or its frontend never
 * heard of the end. So whoever a session comes to, resumed or with its capsule, writes `xnr:<value>` with its own name, and
 * writes it again while it has the session. Before a rested value is given out anew the one that owns its prefix reads
 * the mark: another's name means that the value is gone for good. No mark means something only while our lease of the
 * prefix is there too: a Redis that forgot everything has no marks either.
 */
import type { Redis } from 'ioredis';
import { keys } from '#libs/contracts/keys.ts';
import { extranonce1Hex, prefixHex, prefixOf } from '#libs/mining/extranonce.ts';
import { within } from './wait.ts';

/** [ms] as long as the lease of a prefix, and longer than a session can be resumed after its end */
const TTL_MS = 30 * 60_000;
const REDIS_WAIT_MS = 2_000;
/** Values written or asked for in one go. */
export const MARKS_BATCH = 512;

/** What may be done with a rested value; `unsure`: nothing yet. */
export type RestedFate = 'free' | 'moved' | 'unsure';

export interface ExtranonceMarks {
  /** Says that the sessions of these values are here. @throws {Error} if Redis did not take all */
  write(values: readonly number[]): Promise<void>;
  /** What became of values of ours, in their order. @throws {Error} if Redis does not answer */
  fatesOf(values: readonly number[]): Promise<readonly RestedFate[]>;
}

/** @param owner this life of this process, as it stands in the leases of its prefixes */
export function createExtranonceMarks(redis: Redis, owner: string): ExtranonceMarks {
  return {
    async write(values) {
      for (let at = 0; at < values.length; at += MARKS_BATCH) {
        const pipeline = redis.pipeline();
        for (const value of values.slice(at, at + MARKS_BATCH)) {
          pipeline.set(keys.extranonceHolder(extranonce1Hex(value)), owner, 'PX', TTL_MS);
        }
        const replies = (await within(pipeline.exec(), REDIS_WAIT_MS)) ?? [];
        const failure = replies.find(([error]) => error !== null)?.[0];
        if (failure) throw failure;
      }
    },
    async fatesOf(values) {
      const prefixes = [...new Set(values.map(prefixOf))];
      const answers = await within(
        redis.mget([
          ...values.map((value) => keys.extranonceHolder(extranonce1Hex(value))),
          ...prefixes.map((prefix) => keys.extranoncePrefix(prefixHex(prefix))),
        ]),
        REDIS_WAIT_MS,
      );
      const leased = new Set(prefixes.filter((_, at) => answers[values.length + at] === owner));
      return values.map((value, at) => {
        const holder = answers[at] ?? owner;
        if (holder !== owner) return 'moved';
        return leased.has(prefixOf(value)) ? 'free' : 'unsure';
      });
    },
  };
}
