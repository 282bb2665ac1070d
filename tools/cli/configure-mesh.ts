/** Imports the configuration into the mesh's Redis. */
import { readFileSync } from 'node:fs';
import { Redis } from 'ioredis';
import { keys } from '#libs/contracts/keys.ts';
import { writeConfig } from '#libs/runtime/config-store.ts';
import { groupsOf } from '#services/converger/core/groups.ts';
import type { LoadedConfig } from './load-config.ts';
import { redisUrlOf, type RunFacts, type RunFolder } from './run-folder.ts';
import { CommandError, EXIT } from './terminal.ts';

export interface MeshToConfigure {
  readonly folder: RunFolder;
  readonly facts: RunFacts;
  readonly loaded: LoadedConfig;
  readonly version: string;
}

/**
 * Writes the configuration under a new version.
 *
 * @param dropsOverrides true: what was set over the API gives way to the file
 * @returns the version
 */
export async function configureMesh(
  { folder, facts, loaded }: MeshToConfigure,
  { dropsOverrides = false }: { readonly dropsOverrides?: boolean } = {},
): Promise<number> {
  const secrets = readFileSync(folder.secretFile, 'utf8').trim().split(',');
  const redis = new Redis(redisUrlOf(facts), {
    lazyConnect: true,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
  });
  redis.on('error', () => undefined); // The command's own failure says it.
  try {
    await redis.connect();
    const version = await writeConfig(redis, loaded.config, secrets);
    if (dropsOverrides)
      for (const { group } of groupsOf(loaded.config)) await redis.del(keys.group(group));
    return version;
  } catch (error) {
    throw new CommandError(
      'Cannot store the configuration: Redis did not take it',
      EXIT.unavailable,
      { cause: error },
    );
  } finally {
    redis.disconnect();
  }
}
