/** The first container of a deployment: imports seam.yml into Redis and writes haproxy.cfg into the shared run folder. */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { parse as parseYaml } from 'yaml';
import { edgeModel } from '#haproxy/model.ts';
import { renderHaproxy } from '#haproxy/render.ts';
import type { ResolvedConfig } from '#libs/contracts/pool-config.ts';
import {
  type Devchain,
  parsePoolConfig,
  resolvePoolConfig,
} from '#libs/contracts/resolve-config.ts';
import { readConfig, writeConfig } from '#libs/runtime/config-store.ts';
import { ConfigError, EXIT_CONFIG, EXIT_UNAVAILABLE } from '#libs/runtime/errors.ts';
import { writeFileAtomic } from '#libs/runtime/fs-atomic.ts';
import { createLogger } from '#libs/runtime/logger.ts';
import { readEnvironment } from '#libs/runtime/read-environment.ts';
import { connectRedis, waitForRedis } from '#libs/runtime/redis.ts';
import { regtestAddress } from '#tools/cli/demo-address.ts';

const SECRETS = '/run/secrets';

function secret(name: string): string {
  try {
    return readFileSync(join(SECRETS, name), 'utf8').trim();
  } catch (error) {
    throw new ConfigError([`${name} is not among the secrets: run ./prepare.sh`], { cause: error });
  }
}

/** `DEVCHAIN_ENDPOINTS`: host:port of its RPC and of its ZMQ publisher. */
function devchain(payoutAddress: string): Devchain {
  const [rpc = '', zmq = ''] = (process.env['DEVCHAIN_ENDPOINTS'] ?? '').split(',');
  const url = `http://seam:${secret('devchain_password')}@${rpc}`;
  return { node: { url, zmqHashblock: `tcp://${zmq}` }, payoutAddress };
}

function ofSeamYml(problems: readonly string[]): ConfigError {
  return new ConfigError(problems.map((problem) => `seam.yml: ${problem}`));
}

function readYaml(text: string): unknown {
  try {
    return parseYaml(text);
  } catch (error) {
    throw ofSeamYml([error instanceof Error ? error.message : 'it is not YAML']);
  }
}

/** @throws {ConfigError} with every problem of seam.yml */
function poolConfig(runDir: string, devchainAddress: string): ResolvedConfig {
  const parsed = parsePoolConfig(readYaml(secret('seam_yml')));
  if (!parsed.ok) throw ofSeamYml(parsed.problems);
  const resolved = resolvePoolConfig(parsed.config, runDir, devchain(devchainAddress));
  if (!resolved.ok) throw ofSeamYml(resolved.problems);
  return resolved.config;
}

/** Where devchain's coins go. Nobody has the key, but the address stays the same over restarts. */
async function devchainAddress(redis: Redis, meshSecrets: readonly string[]): Promise<string> {
  const stored = await readConfig(redis, meshSecrets).catch(() => undefined); // Unreadable is written anew below.
  const known = stored?.config.chains.find(({ isDevchain }) => isDevchain)?.payoutAddress;
  return known ?? regtestAddress(randomBytes(20));
}

/** HAProxy reads it when its own container starts, and on SIGUSR2. */
async function writeEdge(config: ResolvedConfig, runDir: string): Promise<void> {
  const folder = join(runDir, 'haproxy');
  const edge = join(runDir, 'edge');
  await mkdir(folder, { recursive: true });
  await mkdir(edge, { recursive: true });
  const model = edgeModel(config, {
    replica: `edge-${hostname()}`,
    edge,
    folder,
    descriptors: Number(process.env['SEAM_DESCRIPTORS']),
    operatorAddress: '*', // Published on the host's loopback only.
  });
  await writeFileAtomic(join(folder, 'haproxy.cfg'), renderHaproxy(model));
}

async function main(): Promise<void> {
  const log = createLogger('info', { role: 'configure' }, process.stdout.isTTY);
  const { runDir = '/run/seam', redisDiscoveryUrl, meshSecrets } = readEnvironment();
  const redis = connectRedis(redisDiscoveryUrl, log);
  try {
    await waitForRedis(redis, new AbortController().signal);
    const config = poolConfig(runDir, await devchainAddress(redis, meshSecrets));
    const version = await writeConfig(redis, config, meshSecrets);
    await writeEdge(config, runDir);
    const chains = config.chains.map(({ id }) => id);
    const listeners = config.listeners.map(({ name, port }) => `${name}:${port}`);
    const isRealCoins = !config.chains.some(({ isDevchain }) => isDevchain);
    log.info({ configVersion: version, chains, listeners, isRealCoins }, 'configured');
  } finally {
    redis.disconnect();
  }
}

try {
  await main();
} catch (error) {
  const problems =
    error instanceof ConfigError ? error.problems : [error instanceof Error ? error.message : ''];
  for (const problem of problems) process.stderr.write(`configure: ${problem}\n`);
  process.exitCode = error instanceof ConfigError ? EXIT_CONFIG : EXIT_UNAVAILABLE;
}
