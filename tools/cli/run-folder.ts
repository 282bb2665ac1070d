/** The run folder: everything a mesh writes lives under it, and nothing outside it is touched. */
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import { regtestAddress } from './demo-address.ts';

export const ROOT = resolve(import.meta.dirname, '..', '..');

export interface RunFolder {
  readonly path: string;
  readonly records: string;
  readonly helpers: string;
  readonly logs: string;
  readonly edge: string;
  readonly secretFile: string;
  readonly launcherSocket: string;
}

/** `--run-dir`, `SEAM_RUN_DIR`, or `.seam` beside the program. */
export function runFolder(given?: string): RunFolder {
  const path = resolve(given ?? process.env['SEAM_RUN_DIR'] ?? join(ROOT, '.seam'));
  return {
    path,
    records: join(path, 'instances'),
    helpers: join(path, 'helpers'),
    logs: join(path, 'log'),
    edge: join(path, 'edge'),
    secretFile: join(path, 'secret'),
    launcherSocket: join(path, 'launcher.sock'),
  };
}

const facts = z.object({
  redisPassword: z.string(),
  devchainPassword: z.string(),
  /** Addresses whose keys nobody has: devchain coins are not real. */
  devchainAddresses: z.array(z.string()).min(4),
  redisPort: z.int(),
  devchainRpcPort: z.int(),
  devchainZmqPort: z.int(),
});
export type RunFacts = z.infer<typeof facts>;

function factsPath(folder: RunFolder): string {
  return join(folder.path, 'facts.json');
}

/** What a run folder was made with; the ports are looked for anew when they are taken by somebody else. */
export function readFacts(folder: RunFolder): RunFacts | undefined {
  const path = factsPath(folder);
  return existsSync(path) ? facts.parse(JSON.parse(readFileSync(path, 'utf8'))) : undefined;
}

export async function writeFacts(folder: RunFolder, value: RunFacts): Promise<void> {
  await writeFile(factsPath(folder), JSON.stringify(value, null, 2), { mode: 0o600 });
}

/** Makes the folder, its mesh secret and its passwords, where they are not there yet. */
export async function prepareRunFolder(
  folder: RunFolder,
  freePort: () => Promise<number>,
): Promise<RunFacts> {
  for (const path of [folder.path, folder.records, folder.helpers, folder.logs, folder.edge])
    await mkdir(path, { recursive: true });
  await chmod(folder.edge, 0o755);
  if (!existsSync(folder.secretFile)) {
    await writeFile(folder.secretFile, `${randomBytes(32).toString('hex')}\n`, {
      mode: 0o600,
      flag: 'wx',
    });
  }
  const known = readFacts(folder);
  if (known !== undefined) return known;
  const made: RunFacts = {
    redisPassword: randomBytes(24).toString('hex'),
    devchainPassword: randomBytes(24).toString('hex'),
    devchainAddresses: Array.from({ length: 4 }, () => regtestAddress(randomBytes(20))),
    redisPort: await freePort(),
    devchainRpcPort: await freePort(),
    devchainZmqPort: await freePort(),
  };
  await writeFacts(folder, made);
  return made;
}

/** Where this mesh's Redis is: our own, or the operator's by `REDIS_URL`. */
export function redisUrlOf(known: RunFacts): string {
  return process.env['REDIS_URL'] ?? `redis://:${known.redisPassword}@127.0.0.1:${known.redisPort}`;
}
