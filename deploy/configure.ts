/** The first container of a deployment: imports seam.yml into Redis and writes haproxy.cfg into the shared run folder. */
import { existsSync, readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
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
import { randomBytes } from 'node:crypto';

/** [descriptors] what container engines give a process where nothing else is said */
const DESCRIPTORS = 20_000;

/** `SEAM_DEVCHAIN`: host:port of its RPC and of its ZMQ publisher. */
function devchain(payoutAddress: string): Devchain {
  const [rpc = '', zmq = ''] = (process.env['SEAM_DEVCHAIN'] ?? '').split(',');
  const password = readFileSync('/run/secrets/devchain_password', 'utf8').trim();
  return {
    node: { url: `http://seam:${password}@${rpc}`, zmqHashblock: `tcp://${zmq}` },
    payoutAddress,
  };
}

function load(path: string, runDir: string, payoutAddress: string): ResolvedConfig {
  const raw: unknown = existsSync(path) ? parseYaml(readFileSync(path, 'utf8')) : null;
  const parsed = parsePoolConfig(raw);
  if (!parsed.ok) throw new ConfigError(parsed.problems);
  const resolved = resolvePoolConfig(parsed.config, runDir, devchain(payoutAddress));
  if (!resolved.ok) throw new ConfigError(resolved.problems);
  return resolved.config;
}

async function main(): Promise<void> {
  const log = createLogger('info', { role: 'configure' }, process.stdout.isTTY);
  const environment = readEnvironment();
  const runDir = environment.runDir ?? '/run/seam';
  const redis = connectRedis(environment.redisDiscoveryUrl, log);
  try {
    await waitForRedis(redis, AbortSignal.timeout(60_000));
    // Coins of devchain are not real and nobody has the key, but the address stays the same over restarts.
    const before = await readConfig(redis, environment.meshSecrets).catch(() => undefined);
    const known = before?.config.chains.find((chain) => chain.isDevchain)?.payoutAddress;
    const config = load(
      process.env['SEAM_CONFIG'] ?? '',
      runDir,
      known ?? regtestAddress(randomBytes(20)),
    );
    const version = await writeConfig(redis, config, environment.meshSecrets);
    const folder = join(runDir, 'haproxy');
    await mkdir(folder, { recursive: true });
    await mkdir(join(runDir, 'edge'), { recursive: true });
    const replica = `edge-${hostname().replace(/[^A-Za-z0-9-]/g, '-')}`;
    const place = {
      replica,
      edge: join(runDir, 'edge'),
      folder,
      descriptors: DESCRIPTORS,
      operatorAddress: '0.0.0.0',
    };
    await writeFileAtomic(join(folder, 'haproxy.cfg'), renderHaproxy(edgeModel(config, place)));
    log.info(
      { configVersion: version, isDevchain: config.chains.some((chain) => chain.isDevchain) },
      'configured',
    );
  } finally {
    redis.disconnect();
  }
}

try {
  await main();
} catch (error) {
  const problems =
    error instanceof ConfigError
      ? error.problems
      : [error instanceof Error ? error.message : 'unknown error'];
  for (const problem of problems) process.stderr.write(`configure: ${problem}\n`);
  process.exitCode = error instanceof ConfigError ? EXIT_CONFIG : EXIT_UNAVAILABLE;
}
