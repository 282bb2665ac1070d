/**
 * Connections to Redis. A command whose reply was lost is never sent again by the client, and nothing queues while Redis
 * is away: writes are idempotent, and whoever writes decides what to do when it fails.
 */
import { Redis } from 'ioredis';
import type { Logger } from 'pino';
import type { Environment } from './environment.ts';
import type { RedisConnections } from './service.ts';
import { untilAnswered } from './until-answered.ts';

/** [ms] */
const COMMAND_TIMEOUT_MS = 3_000;
const CONNECT_TIMEOUT_MS = 3_000;
/** [ms] without a byte while an answer is due: a cut network is left, and found again as soon as it is back */
const SOCKET_TIMEOUT_MS = 5_000;
const RETRY_MAX_MS = 1_000;
/** [ms] how long a start waits for Redis before it gives up */
const FIRST_ANSWER_MS = 30_000;

/** One connection that comes back by itself. Errors of commands are the caller's; those of the connection are logged. */
export function connectRedis(url: string, log: Logger): Redis {
  const redis = new Redis(url, {
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    commandTimeout: COMMAND_TIMEOUT_MS,
    connectTimeout: CONNECT_TIMEOUT_MS,
    socketTimeout: SOCKET_TIMEOUT_MS,
    retryStrategy: (tries) => Math.min(RETRY_MAX_MS, 50 * tries),
  });
  let isAway = false;
  redis.on('error', (error: Error) => {
    if (!isAway) log.warn({ err: error.message }, 'redis away');
    isAway = true;
  });
  redis.on('ready', () => {
    if (isAway) log.info('redis back');
    isAway = false;
  });
  return redis;
}

/** Connects the three (or fewer, where URLs are the same). */
export function connectAll(environment: Environment, log: Logger): RedisConnections & Disposable {
  const byUrl = new Map<string, Redis>();
  const connect = (url: string) => {
    const known = byUrl.get(url) ?? connectRedis(url, log);
    byUrl.set(url, known);
    return known;
  };
  return {
    discovery: connect(environment.redisDiscoveryUrl),
    state: connect(environment.redisStateUrl),
    shares: connect(environment.redisSharesUrl),
    [Symbol.dispose]() {
      for (const redis of byUrl.values()) redis.disconnect();
    },
  };
}

/** Waits until Redis answers. @throws {UnavailableError} after 30 s */
export async function waitForRedis(redis: Redis, signal: AbortSignal): Promise<void> {
  const { host, port } = redis.options;
  const what = `Redis at ${host}:${port} does not answer: is REDIS_URL right?`;
  await untilAnswered(() => redis.ping(), { what, timeoutMs: FIRST_ANSWER_MS, signal });
}
