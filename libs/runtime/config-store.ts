/** The pool's configuration in Redis: one versioned value, secrets sealed. */
import type { Redis } from 'ioredis';
import { keys } from '#libs/contracts/keys.ts';
import { type ResolvedConfig, resolvedConfig } from '#libs/contracts/pool-config.ts';
import { ConfigError } from './errors.ts';
import { isSealed, seal, unseal } from './sealed.ts';
import { untilAnswered } from './until-answered.ts';

export interface StoredConfig {
  /** Only grows. */
  readonly version: number;
  readonly config: ResolvedConfig;
  /** As it stands in Redis: JSON with sealed secrets. */
  readonly content: string;
}

/**
 * KEYS[1] version  KEYS[2] current
 * ARGV[1] content
 * Returns the new version: the last + 1, or Redis' clock in µs if that is more, so that it grows even if Redis lost it.
 */
const WRITE_CONFIG = `
local time = redis.call('TIME')
local version = math.max(tonumber(redis.call('GET', KEYS[1]) or '0') + 1, tonumber(time[1]) * 1000000 + tonumber(time[2]))
local text = string.format('%.0f', version)
redis.call('SET', KEYS[1], text)
redis.call('HSET', KEYS[2], 'version', text, 'content', ARGV[1])
return text`;

function mapNodeUrls(config: ResolvedConfig, change: (url: string) => string): ResolvedConfig {
  const chains = config.chains.map((chain) => ({
    ...chain,
    nodes: chain.nodes.map((node) => ({ ...node, url: change(node.url) })),
  }));
  return { ...config, chains };
}

/** @returns the version it got */
export async function writeConfig(
  redis: Redis,
  config: ResolvedConfig,
  meshSecrets: readonly string[],
): Promise<number> {
  const [secret] = meshSecrets;
  if (secret === undefined)
    throw new ConfigError(['no mesh secret to seal the configuration with']);
  const sealed = mapNodeUrls(config, (url) => seal(url, secret));
  const version = await redis.eval(
    WRITE_CONFIG,
    2,
    keys.configVersion,
    keys.config,
    JSON.stringify(sealed),
  );
  return Number(version);
}

/** @returns undefined if none was ever stored. @throws {ConfigError} if it cannot be opened or is not one */
export async function readConfig(
  redis: Redis,
  meshSecrets: readonly string[],
): Promise<StoredConfig | undefined> {
  const { version, content } = await redis.hgetall(keys.config);
  if (version === undefined || content === undefined) return undefined;
  try {
    const opened = unsealAll(JSON.parse(content), meshSecrets);
    return { version: Number(version), config: resolvedConfig.parse(opened), content };
  } catch (error) {
    throw new ConfigError(
      ['the configuration in Redis cannot be used: import it again with `seam config apply`'],
      { cause: error },
    );
  }
}

/** Opens every sealed string of a JSON value, wherever it stands. */
function unsealAll(value: unknown, secrets: readonly string[]): unknown {
  if (typeof value === 'string') return isSealed(value) ? unseal(value, secrets) : value;
  if (Array.isArray(value)) return value.map((item: unknown) => unsealAll(item, secrets));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [key, unsealAll(item, secrets)]),
  );
}

/** [ms] how long a start waits for a configuration */
const WAIT_MS = 60_000;

/**
 * Waits until there is a configuration: services may start before it was imported.
 *
 * @throws {ConfigError} if it cannot be used
 * @throws {UnavailableError} after 60 s
 */
export async function waitForConfig(
  redis: Redis,
  meshSecrets: readonly string[],
  signal: AbortSignal,
): Promise<StoredConfig> {
  const what = 'there is no configuration in Redis: import one with `seam config apply`';
  const read = () => readConfig(redis, meshSecrets);
  return await untilAnswered(read, { what, timeoutMs: WAIT_MS, signal });
}
