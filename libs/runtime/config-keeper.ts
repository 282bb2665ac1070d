/**
 * Every process keeps the newest configuration it has seen, as it stands in Redis, so that a Redis that comes back empty
 * gets it again from whoever is alive. See Note [Store generation] in redis-registry.ts.
 */
import type { Redis } from 'ioredis';
import type { Logger } from 'pino';
import { keys } from '#libs/contracts/keys.ts';
import type { Registry } from '#libs/registry/registry.ts';
import type { StoredConfig } from './config-store.ts';

/** [ms] between looks for a newer version */
const LOOK_MS = 10_000;

/**
 * KEYS[1] version  KEYS[2] current
 * ARGV[1] version  ARGV[2] content
 * Writes what Redis forgot, and never over a newer version. Returns 1 if written.
 */
const RESTORE_CONFIG = `
local stored = tonumber(redis.call('HGET', KEYS[2], 'version') or '0')
if stored >= tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[2], 'version', ARGV[1], 'content', ARGV[2])
if tonumber(redis.call('GET', KEYS[1]) or '0') < tonumber(ARGV[1]) then redis.call('SET', KEYS[1], ARGV[1]) end
return 1`;

export type KeptConfig = Pick<StoredConfig, 'version' | 'content'>;

/** @returns whether Redis had an older one or none */
export async function restoreConfig(redis: Redis, { version, content }: KeptConfig) {
  const args = [String(version), content];
  return (await redis.eval(RESTORE_CONFIG, 2, keys.configVersion, keys.config, ...args)) === 1;
}

/** The stored one if it is newer than `known`, else `known`. */
export async function newestConfig(redis: Redis, known: KeptConfig): Promise<KeptConfig> {
  const stored = Number((await redis.hget(keys.config, 'version')) ?? 0);
  if (stored <= known.version) return known;
  const [version, content] = await redis.hmget(keys.config, 'version', 'content');
  return version && content ? { version: Number(version), content } : known;
}

/** Keeps the newest configuration and gives it to every new store. */
export function keepConfig(
  redis: Redis,
  registry: Pick<Registry, 'onNewStoreGeneration'>,
  first: KeptConfig,
  log: Logger,
): Disposable {
  let kept = first;
  async function look(): Promise<void> {
    try {
      kept = await newestConfig(redis, kept);
    } catch (error) {
      log.debug({ err: error }, 'configuration not looked at');
    }
  }
  const listening = registry.onNewStoreGeneration(async () => {
    if (await restoreConfig(redis, kept))
      log.warn({ configVersion: kept.version }, 'configuration given back to Redis');
  });
  const timer = setInterval(() => void look(), LOOK_MS).unref();
  return {
    [Symbol.dispose]() {
      clearInterval(timer);
      listening[Symbol.dispose]();
    },
  };
}
