/** The whole mesh in containers, started as an operator starts it: `prepare.sh`, `docker compose up -d`. */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { freePort } from '#tools/cli/ports.ts';
import { BASE_IMAGE, type DockerEngine } from './docker-engine.ts';

const run = promisify(execFile);
const DEPLOY = join(import.meta.dirname, '..', '..', 'deploy');
const MINUTE = 60_000;

export interface ComposeMesh extends AsyncDisposable {
  /** Its containers, networks and volumes carry `com.docker.compose.project=<project>`. */
  readonly project: string;
  readonly stratumPort: number;
  /** Where a listener on port 3335 is published. */
  readonly lowPort: number;
  readonly operatorPort: number;
  /** Values that must be seen nowhere but in files. */
  readonly secretsFolder: string;
  /** Writes `seam.yml` and runs `prepare.sh`. @throws {Error} with what it printed */
  configure(yaml: string): Promise<void>;
  /** Runs `docker compose <args>` on this mesh. @returns stdout */
  compose(...args: readonly string[]): Promise<string>;
  /** Ids of a service's running containers. */
  containers(service: string): Promise<readonly string[]>;
  getJson(path: string): Promise<unknown>;
  operator(path: string): Promise<unknown>;
}

/** Builds the images and brings the mesh up; what was brought goes again if that fails. */
export async function startComposeMesh(engine: DockerEngine): Promise<ComposeMesh> {
  await using acquired = new AsyncDisposableStack();
  const project = `seam-test-${randomBytes(4).toString('hex')}`;
  const folder = await mkdtemp(join(tmpdir(), `${project}-`));
  acquired.defer(async () => await rm(folder, { recursive: true, force: true }));
  const image = `${project}:test`;
  const parts = `${project}-parts:test`;
  const secretsFolder = join(folder, 'secrets');
  const [stratumPort, httpPort, operatorPort] = [
    await freePort(),
    await freePort(),
    await freePort(),
  ];
  const lowPort = await freePort();
  const env = {
    COMPOSE_PROJECT_NAME: project,
    SEAM_IMAGE: image,
    SEAM_BASE_IMAGE: BASE_IMAGE,
    SEAM_REDIS_IMAGE: parts,
    SEAM_HAPROXY_IMAGE: parts,
    SEAM_SECRETS: secretsFolder,
    SEAM_ENV_FILE: join(folder, 'env'),
    SEAM_YML: join(folder, 'seam.yml'),
    SEAM_STRATUM_PORT: String(stratumPort),
    SEAM_LOW_PORT: String(lowPort),
    SEAM_RENTAL_PORT: String(await freePort()),
    SEAM_SCRYPT_PORT: String(await freePort()),
    SEAM_HTTP_PORT: String(httpPort),
    SEAM_OPERATOR_PORT: String(operatorPort),
    NPM_REGISTRY: (await run('npm', ['config', 'get', 'registry'])).stdout.trim(),
  };
  const file = ['--file', join(DEPLOY, 'compose.yml'), '--env-file', env.SEAM_ENV_FILE];
  const compose = async (...args: readonly string[]) =>
    await engine.docker(['compose', ...file, ...args], {
      env,
      timeoutMs: 5 * MINUTE,
    });
  const getJson = async (url: string) => {
    const answer = await fetch(url, { signal: AbortSignal.timeout(10_000) });
    return await answer.json();
  };

  const prepare = async () =>
    await run(join(DEPLOY, 'prepare.sh'), { env: { ...engine.env, ...env }, timeout: MINUTE });
  await prepare();
  acquired.defer(async () => {
    await compose('down', '--volumes', '--remove-orphans', '--timeout', '5');
    await engine.docker(['image', 'rm', '--force', image, parts]);
  });
  await Promise.all([compose('build', '--quiet'), buildParts(engine, parts, folder)]);
  try {
    await compose('up', '--detach');
  } catch (error) {
    throw new Error(`Cannot bring the containers up:\n${await compose('logs', '--tail', '15')}`, {
      cause: error,
    });
  }
  const owned = acquired.move();
  return {
    project,
    stratumPort,
    lowPort,
    operatorPort,
    secretsFolder,
    async configure(yaml) {
      await writeFile(env.SEAM_YML, yaml);
      await prepare();
    },
    compose,
    containers: async (service) =>
      (await compose('ps', '--quiet', service)).split('\n').filter((id) => id !== ''),
    getJson: async (path) => await getJson(`http://127.0.0.1:${httpPort}${path}`),
    operator: async (path) => await getJson(`http://127.0.0.1:${operatorPort}${path}`),
    [Symbol.asyncDispose]: async () => await owned.disposeAsync(),
  };
}

/** Redis and HAProxy from Debian packages, for what is an image from a registry otherwise. */
async function buildParts(engine: DockerEngine, name: string, folder: string): Promise<void> {
  const context = join(folder, 'parts');
  const install = 'apt-get install -y --no-install-recommends redis-server haproxy';
  const lines = [`FROM ${BASE_IMAGE}`, `RUN apt-get update && ${install}`];
  await run('mkdir', ['-p', context]);
  await writeFile(join(context, 'Dockerfile'), `${lines.join('\n')}\n`);
  await engine.docker(['buildx', 'build', '--load', '--quiet', '--tag', name, context], {
    timeoutMs: 5 * MINUTE,
  });
}
