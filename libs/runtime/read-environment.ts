/** Reads the settings of a process from its environment, and says everything that is wrong with them at once. */
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { MESH_SECRET_LENGTH_MIN } from '#libs/bus/derive-mesh-keys.ts';
import type { Environment } from './environment.ts';
import { ConfigError } from './errors.ts';

const port = z.coerce.number().int().min(1).max(65_535);
const name = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9._/-]{0,63}$/,
    'must be a short name of letters, digits and . _ / -',
  );
const redisUrl = z.string().regex(/^rediss?:\/\//, 'must be a redis:// or rediss:// URL');
const portRange = z
  .string()
  .regex(/^\d+-\d+$/, 'must be first-last')
  .transform((text) => text.split('-').map(Number))
  .refine(
    ([first = 0, last = 0]) => first >= 1 && first <= last && last <= 65_535,
    'must be an ascending range of ports',
  );

const variables = z.object({
  REDIS_URL: redisUrl.optional(),
  REDIS_URL_FILE: z.string().optional(),
  REDIS_DISCOVERY_URL: redisUrl.optional(),
  REDIS_STATE_URL: redisUrl.optional(),
  REDIS_SHARES_URL: redisUrl.optional(),
  REDIS_READ_URL: redisUrl.optional(),
  SEAM_MESH_SECRET: z.string().optional(),
  SEAM_MESH_SECRET_FILE: z.string().optional(),
  SEAM_INSTANCE: name.optional(),
  SEAM_GROUP: name.optional(),
  SEAM_CHAIN: name.optional(),
  SEAM_RUN_DIR: z.string().optional(),
  SEAM_ZONE: name.optional(),
  SEAM_VERSION: name.optional(),
  SEAM_BIND: z.string().optional(),
  SEAM_ADVERTISE: z.string().optional(),
  SEAM_PORTS: portRange.optional(),
  PORT: port.optional(),
  STATSD_HOST: z.string().optional(),
  CONVERGER_PATH: z.enum(['act', 'observe-only']).optional(),
  SEAM_LOG: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).optional(),
});
type Variables = z.infer<typeof variables>;

const DEFAULT_PORTS = [21_000, 21_999] as const;

/** @throws {ConfigError} with every problem */
export function readEnvironment(
  source: Readonly<Record<string, string | undefined>> = process.env,
): Environment {
  const present = Object.fromEntries(
    Object.entries(source).filter(([, value]) => value !== undefined && value !== ''),
  );
  const parsed = variables.safeParse(present);
  if (!parsed.success)
    throw new ConfigError(
      parsed.error.issues.map((issue) => `${issue.path.join('.')} ${issue.message}`),
    );
  const problems: string[] = [];
  const shared = parsed.data.REDIS_URL ?? readRedisUrlFile(parsed.data.REDIS_URL_FILE, problems);
  const discovery = parsed.data.REDIS_DISCOVERY_URL ?? shared;
  if (discovery === undefined)
    problems.push('REDIS_URL is not set: it is the one address a process needs');
  const meshSecrets = readSecrets(parsed.data, problems);
  if (problems.length > 0 || discovery === undefined) throw new ConfigError(problems);
  return assemble(parsed.data, shared ?? discovery, discovery, meshSecrets);
}

function readSecrets(from: Variables, problems: string[]): readonly string[] {
  const text = from.SEAM_MESH_SECRET ?? readSecretFile(from.SEAM_MESH_SECRET_FILE, problems);
  if (text === undefined) return [];
  const secrets = text
    .trim()
    .split(',')
    .filter((secret) => secret !== '');
  if (secrets.length === 0 || secrets.some((secret) => secret.length < MESH_SECRET_LENGTH_MIN)) {
    problems.push(`the mesh secret must have at least ${MESH_SECRET_LENGTH_MIN} characters`);
  }
  return secrets;
}

/** The URL holds a password, so containers get it as a file. */
function readRedisUrlFile(path: string | undefined, problems: string[]): string | undefined {
  if (path === undefined) return undefined;
  try {
    return redisUrl.parse(readFileSync(path, 'utf8').trim());
  } catch (error) {
    problems.push(
      `REDIS_URL_FILE ${path} cannot be used: ${error instanceof z.ZodError ? 'it must hold a redis:// URL' : 'it cannot be read'}`,
    );
    return undefined;
  }
}

function readSecretFile(path: string | undefined, problems: string[]): string | undefined {
  if (path === undefined) {
    problems.push(
      'SEAM_MESH_SECRET or SEAM_MESH_SECRET_FILE is not set: without the mesh secret nobody talks to us',
    );
    return undefined;
  }
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    problems.push(
      `SEAM_MESH_SECRET_FILE ${path} cannot be read: ${error instanceof Error ? error.message : 'unknown error'}`,
    );
    return undefined;
  }
}

function assemble(
  from: Variables,
  shared: string,
  discovery: string,
  meshSecrets: readonly string[],
): Environment {
  const bindAddress = from.SEAM_BIND ?? '127.0.0.1';
  const isAny = bindAddress === '0.0.0.0' || bindAddress === '::';
  const [first = DEFAULT_PORTS[0], last = DEFAULT_PORTS[1]] = from.SEAM_PORTS ?? DEFAULT_PORTS;
  return {
    redisDiscoveryUrl: discovery,
    redisStateUrl: from.REDIS_STATE_URL ?? shared,
    redisSharesUrl: from.REDIS_SHARES_URL ?? shared,
    redisReadUrl: from.REDIS_READ_URL ?? from.REDIS_SHARES_URL ?? shared,
    meshSecrets,
    instance: from.SEAM_INSTANCE,
    group: from.SEAM_GROUP ?? '',
    chain: from.SEAM_CHAIN,
    runDir: from.SEAM_RUN_DIR,
    zone: from.SEAM_ZONE ?? 'default',
    version: from.SEAM_VERSION ?? packageVersion(),
    bindAddress,
    advertiseAddress: from.SEAM_ADVERTISE ?? (isAny ? hostname() : bindAddress),
    portRange: [first, last],
    httpPort: from.PORT,
    statsd: from.STATSD_HOST,
    convergerPath: from.CONVERGER_PATH ?? 'act',
    logLevel: from.SEAM_LOG ?? 'info',
  };
}

function packageVersion(): string {
  const path = join(import.meta.dirname, '..', '..', 'package.json');
  return z.object({ version: z.string() }).parse(JSON.parse(readFileSync(path, 'utf8'))).version;
}
