/** The Lua scripts of this folder, run by hash. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Redis } from 'ioredis';

export interface Script {
  readonly text: string;
  readonly sha: string;
}

function load(file: string): Script {
  const text = readFileSync(join(import.meta.dirname, file), 'utf8');
  return { text, sha: createHash('sha1').update(text).digest('hex') };
}

export const ACQUIRE_LEASE = load('acquire-lease.lua');
export const RENEW_LEASE = load('renew-lease.lua');
export const RELEASE_LEASE = load('release-lease.lua');
export const PUT_GUARDED = load('put-guarded.lua');
export const WRITE_RECORD = load('write-record.lua');
export const REMOVE_RECORD = load('remove-record.lua');
export const READ_VIEW = load('read-view.lua');

/** Runs a script by its hash; sends its text only where the server does not know it yet. */
export async function runScript(
  redis: Redis,
  script: Script,
  scriptKeys: readonly string[],
  args: readonly (string | number)[],
): Promise<unknown> {
  try {
    return await redis.evalsha(script.sha, scriptKeys.length, ...scriptKeys, ...args);
  } catch (error) {
    if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw error;
    return await redis.eval(script.text, scriptKeys.length, ...scriptKeys, ...args);
  }
}
