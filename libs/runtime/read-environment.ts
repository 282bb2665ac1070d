/** Reads the settings of a process from its environment, and says everything that is wrong with them at once. */
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { MESH_SECRET_LENGTH_MIN } from '#libs/bus/derive-mesh-keys.ts';
import type { Environment } from './environment.ts';
import { ConfigError } from './errors.ts';
import { parseStatsdAddress } from './statsd.ts';

const port = z.coerce.number().int().min(1).max(65_535);
const name = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9._/-]{0,63}$/,
    'must be a short name of letters, digits and . _ / -',
  );
const portRange = z
  .string()
  .regex(/^\d+-\d+$/, 'must be first-last')
  .transform((text) => text.split('-').map(Number))
  .refine(
    ([first = 0, last = 0]) => first >= 1 && first <= last && last <= 65_535,
    'must be an ascending range of ports',
  );

const statsd = z.string().transform((text, context) => {
  const address = parseStatsdAddress(text);
  if (address === undefined) context.addIssue('must be host or host:port');
  return address;
});

const variables = z.object({
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
  STATSD_HOST: statsd.optional(),
  CONVERGER_PATH: z.enum(['act', 'observe-only']).optional(),
  SEAM_LOG: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).optional(),
});
type Variables = z.infer<typeof variables>;
type Source = Readonly<Record<string, string | undefined>>;

const DEFAULT_PORTS = [21_000, 21_999] as const;

/** @throws {ConfigError} with every problem */
export function readEnvironment(source: Source = process.env): Environment {
  const present = Object.fromEntries(
    Object.entries(source).filter(([, value]) => value !== undefined && value !== ''),
  );
  const problems: string[] = [];
  const parsed = variables.safeParse(present);
  for (const issue of parsed.error?.issues ?? [])
    problems.push(`${issue.path.join('.')} ${issue.message}`);
  const redis = readRedisUrls(present, problems);
  const meshSecrets = readMeshSecrets(present, problems);
  if (problems.length > 0 || redis === undefined || !parsed.success)
    throw new ConfigError(problems);
  return assemble(parsed.data, redis, meshSecrets);
}

type RedisUrls = Pick<
  Environment,
  'redisDiscoveryUrl' | 'redisStateUrl' | 'redisSharesUrl' | 'redisReadUrl'
>;

function readRedisUrls(source: Source, problems: string[]): RedisUrls | undefined {
  const before = problems.length;
  const read = (variable: string) => readRedisUrl(source, variable, problems);
  const shared = read('REDIS_URL');
  const discovery = read('REDIS_DISCOVERY_URL') ?? shared;
  const state = read('REDIS_STATE_URL') ?? shared ?? discovery;
  const shares = read('REDIS_SHARES_URL') ?? shared ?? discovery;
  const reading = read('REDIS_READ_URL') ?? shares;
  if (discovery === undefined && problems.length === before)
    problems.push('REDIS_URL is not set: it is the one address a process needs');
  if (discovery === undefined || state === undefined) return undefined;
  if (shares === undefined || reading === undefined) return undefined;
  return {
    redisDiscoveryUrl: discovery,
    redisStateUrl: state,
    redisSharesUrl: shares,
    redisReadUrl: reading,
  };
}

function readRedisUrl(source: Source, variable: string, problems: string[]): string | undefined {
  const url = readSecret(source, variable, problems);
  if (url === undefined) return undefined;
  if (/^rediss?:\/\//.test(url) && URL.canParse(url)) return url;
  problems.push(`${variable} must be a redis:// or rediss:// URL`);
  return undefined;
}

function readMeshSecrets(source: Source, problems: string[]): readonly string[] {
  const before = problems.length;
  const text = readSecret(source, 'SEAM_MESH_SECRET', problems);
  if (text === undefined) {
    if (problems.length === before)
      problems.push(
        'SEAM_MESH_SECRET or SEAM_MESH_SECRET_FILE is not set: without the mesh secret nobody talks to us',
      );
    return [];
  }
  const secrets = text.split(',').filter((secret) => secret !== '');
  if (secrets.length === 0 || secrets.some((secret) => secret.length < MESH_SECRET_LENGTH_MIN)) {
    problems.push(`the mesh secret must have at least ${MESH_SECRET_LENGTH_MIN} characters`);
  }
  return secrets;
}

/** The variable itself, or the content of the file that `<variable>_FILE` names, as containers give secrets. */
function readSecret(source: Source, variable: string, problems: string[]): string | undefined {
  const value = source[variable];
  const path = source[`${variable}_FILE`];
  if (value !== undefined || path === undefined) return value?.trim();
  try {
    return readFileSync(path, 'utf8').trim();
  } catch (error) {
    const cause = error instanceof Error ? error.message : 'unknown error';
    problems.push(`${variable}_FILE ${path} cannot be read: ${cause}`);
    return undefined;
  }
}

function assemble(from: Variables, redis: RedisUrls, meshSecrets: readonly string[]): Environment {
  const bindAddress = from.SEAM_BIND ?? '127.0.0.1';
  const isAny = bindAddress === '0.0.0.0' || bindAddress === '::';
  const [first = DEFAULT_PORTS[0], last = DEFAULT_PORTS[1]] = from.SEAM_PORTS ?? DEFAULT_PORTS;
  return {
    ...redis,
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
