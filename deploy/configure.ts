/**
 * The first container of a deployment: imports seam.yml into Redis, writes haproxy.cfg into the shared run folder, and
 * tells a running HAProxy. With `--check` it only says what is wrong with the seam.yml on its standard input.
 */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { Redis } from 'ioredis';
import type { Logger } from 'pino';
import { parse as parseYaml } from 'yaml';
import { edgeModel } from '#haproxy/model.ts';
import { renderHaproxy } from '#haproxy/render.ts';
import type { ResolvedConfig } from '#libs/contracts/pool-config.ts';
import { parsePoolConfig, resolvePoolConfig } from '#libs/contracts/resolve-config.ts';
import { readConfig, writeConfig } from '#libs/runtime/config-store.ts';
import { ConfigError, EXIT_CONFIG, EXIT_UNAVAILABLE } from '#libs/runtime/errors.ts';
import { writeFileAtomic } from '#libs/runtime/fs-atomic.ts';
import { createLogger } from '#libs/runtime/logger.ts';
import { readEnvironment } from '#libs/runtime/read-environment.ts';
import { connectRedis, waitForRedis } from '#libs/runtime/redis.ts';
import { regtestAddress } from '#tools/cli/demo-address.ts';

const SECRETS = '/run/secrets';
const RUN_DIR = '/run/seam';
/** [ms] a reload takes as long as HAProxy reads its file */
const RELOAD_MAX_MS = 10_000;

function secret(name: string): string {
  try {
    return readFileSync(join(SECRETS, name), 'utf8').trim();
  } catch (error) {
    throw new ConfigError([`${name} is not among the secrets: run ./prepare.sh`], { cause: error });
  }
}

interface DevchainAccess {
  readonly password: string;
  readonly payoutAddress: string;
}

/** @throws {ConfigError} with every problem of seam.yml */
function poolConfig(yaml: string, { password, payoutAddress }: DevchainAccess): ResolvedConfig {
  const parsed = parsePoolConfig(readYaml(yaml));
  if (!parsed.ok) throw new ConfigError(parsed.problems);
  // Host:port of its RPC and of its ZMQ publisher.
  const [rpc = '', zmq = ''] = (process.env['DEVCHAIN_ENDPOINTS'] ?? '').split(',');
  const node = { url: `http://seam:${password}@${rpc}`, zmqHashblock: `tcp://${zmq}` };
  const resolved = resolvePoolConfig(parsed.config, RUN_DIR, { node, payoutAddress });
  if (!resolved.ok) throw new ConfigError(resolved.problems);
  return resolved.config;
}

function readYaml(yaml: string): unknown {
  try {
    return parseYaml(yaml);
  } catch (error) {
    throw new ConfigError([`seam.yml: ${error instanceof Error ? error.message : 'not YAML'}`]);
  }
}

/** Where devchain's coins go. Nobody has the key, but the address stays the same over restarts. */
async function devchainAddress(redis: Redis, meshSecrets: readonly string[]): Promise<string> {
  const stored = await readConfig(redis, meshSecrets).catch(() => undefined); // Unreadable is written anew below.
  const known = stored?.config.chains.find(({ isDevchain }) => isDevchain)?.payoutAddress;
  return known ?? regtestAddress(randomBytes(20));
}

/** Makes connection ids unique among HAProxys; stays, so that the file changes only when the configuration does. */
async function replicaOf(folder: string): Promise<string> {
  const path = join(folder, 'replica');
  const known = await readFile(path, 'utf8').catch(() => '');
  if (known !== '') return known;
  const fresh = `edge-${randomBytes(4).toString('hex')}`;
  await writeFileAtomic(path, fresh);
  return fresh;
}

/** Writes haproxy.cfg; a running HAProxy reloads it if it changed, and its old worker keeps its miners. */
async function writeEdge(config: ResolvedConfig, log: Logger): Promise<void> {
  const folder = join(RUN_DIR, 'haproxy');
  const edge = join(RUN_DIR, 'edge');
  await mkdir(folder, { recursive: true });
  await mkdir(edge, { recursive: true });
  const model = edgeModel(config, {
    replica: await replicaOf(folder),
    edge,
    folder,
    descriptors: Number(process.env['SEAM_DESCRIPTORS']),
    operatorAddress: '*', // Published on the host's loopback only.
  });
  const path = join(folder, 'haproxy.cfg');
  const rendered = renderHaproxy(model);
  if ((await readFile(path, 'utf8').catch(() => '')) === rendered) return;
  await writeFileAtomic(path, rendered);
  const answer = await reloadHaproxy(join(folder, 'master.sock'));
  if (answer !== undefined) log.info({ answer }, 'haproxy reloads');
}

/** @returns what its master says; undefined if none runs: it will read the file when it starts */
async function reloadHaproxy(masterSocket: string): Promise<string | undefined> {
  const socket = connect(masterSocket);
  socket.setTimeout(RELOAD_MAX_MS, () => socket.destroy(new Error('HAProxy does not answer')));
  socket.write('reload\n');
  try {
    return (await text(socket)).trim();
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ENOENT' || code === 'ECONNREFUSED') return undefined;
    if (code === 'ECONNRESET') return ''; // Older ones hang up when they reload.
    throw error;
  }
}

async function configure(): Promise<void> {
  const log = createLogger('info', { role: 'configure' }, process.stdout.isTTY);
  const { redisDiscoveryUrl, meshSecrets } = readEnvironment();
  const redis = connectRedis(redisDiscoveryUrl, log);
  try {
    await waitForRedis(redis, new AbortController().signal);
    const config = poolConfig(secret('seam_yml'), {
      password: secret('devchain_password'),
      payoutAddress: await devchainAddress(redis, meshSecrets),
    });
    const version = await writeConfig(redis, config, meshSecrets);
    await writeEdge(config, log);
    // Services that were started for this configuration wait for this file (entrypoint.sh).
    await writeFileAtomic(join(RUN_DIR, 'configured'), process.env['SEAM_CONFIG_SUM'] ?? '');
    const chains = config.chains.map(({ id }) => id);
    const listeners = config.listeners.map(({ name, port }) => `${name}:${port}`);
    const isRealCoins = !config.chains.some(({ isDevchain }) => isDevchain);
    log.info({ configVersion: version, chains, listeners, isRealCoins }, 'configured');
  } finally {
    redis.disconnect();
  }
}

async function check(): Promise<void> {
  const payoutAddress = regtestAddress(randomBytes(20));
  poolConfig(await text(process.stdin), { password: 'unused', payoutAddress });
}

try {
  await (process.argv.includes('--check') ? check() : configure());
} catch (error) {
  const problems =
    error instanceof ConfigError ? error.problems : [error instanceof Error ? error.message : ''];
  for (const problem of problems) process.stderr.write(`configure: ${problem}\n`);
  process.exitCode = error instanceof ConfigError ? EXIT_CONFIG : EXIT_UNAVAILABLE;
}
