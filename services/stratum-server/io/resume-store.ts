/**
 * Sessions by their id, kept in Redis for miners that lost their connection: `resume:<session id>` holds a capsule
 * without fingerprints. Written at authorise, at each retarget and while the connection lives; taken out by whoever resumes.
 */
import { Buffer } from 'node:buffer';
import type { Redis } from 'ioredis';
import type { Logger } from 'pino';
import { keys } from '#libs/contracts/keys.ts';
import { type CapsuleContent, decodeCapsule, encodeCapsule } from '../core/capsule.ts';
import type { Metrics } from '../metrics.ts';
import { within } from './wait.ts';

/** [ms] how long a lost session may be resumed */
const RESUME_MS = 10 * 60_000;
/** [ms] the record of a living connection is written again before it could run out */
export const STORE_AGAIN_MS = 4 * 60_000;
const TTL_MS = RESUME_MS + STORE_AGAIN_MS;
const REDIS_WAIT_MS = 500;

export interface StoredSession {
  readonly content: CapsuleContent;
  readonly chain: string;
  readonly mode: string;
}

export interface ResumeStore {
  /** Writes many at once. Without Redis nothing is kept, and nobody waits. */
  store(sessions: readonly StoredSession[]): Promise<void>;
  /** The session of that id, taken out of the store: only one connection can resume it. */
  take(sessionId: string): Promise<StoredSession | undefined>;
}

export function createResumeStore({
  redis,
  log,
  metrics,
}: {
  readonly redis: Redis;
  readonly log: Logger;
  readonly metrics: Metrics;
}): ResumeStore {
  return {
    async store(sessions) {
      if (sessions.length === 0 || redis.status !== 'ready') return;
      const pipeline = redis.pipeline();
      for (const session of sessions) {
        pipeline.set(keys.resume(session.content.sessionId), encode(session), 'PX', TTL_MS);
      }
      await within(pipeline.exec(), REDIS_WAIT_MS * 4);
    },
    async take(sessionId) {
      try {
        const text = await within(redis.getdel(keys.resume(sessionId)), REDIS_WAIT_MS);
        const stored = text === null ? undefined : decode(text);
        metrics.resumes.inc({ outcome: stored === undefined ? 'unknown' : 'resumed' });
        return stored;
      } catch (error) {
        log.debug({ err: error }, 'session store not reached');
        metrics.resumes.inc({ outcome: 'not_reached' });
        return undefined;
      }
    },
  };
}

function encode({ content, chain, mode }: StoredSession): string {
  const capsule = encodeCapsule({ ...content, fingerprints: new Uint8Array() });
  return JSON.stringify({
    version: 1,
    chain,
    mode,
    capsule: Buffer.from(capsule).toString('base64'),
  });
}

/** Undefined: not ours. @throws {CapsuleError} or {SyntaxError} if it is damaged */
function decode(text: string): StoredSession | undefined {
  const value: unknown = JSON.parse(text);
  if (typeof value !== 'object' || value === null) return undefined;
  const { chain, mode, capsule } = value as Readonly<Record<string, unknown>>;
  if (typeof chain !== 'string' || typeof mode !== 'string' || typeof capsule !== 'string') {
    return undefined;
  }
  return { chain, mode, content: decodeCapsule(Buffer.from(capsule, 'base64')) };
}
