/** Writes haproxy.cfg of this host and lets HAProxy itself check it. */
import { execFile } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { edgeModel } from '#haproxy/model.ts';
import { renderHaproxy } from '#haproxy/render.ts';
import type { ResolvedConfig } from '#libs/contracts/pool-config.ts';
import { writeFileAtomic } from '#libs/runtime/fs-atomic.ts';
import { findProgram } from '#tools/cli/debian-packages.ts';
import type { RunFolder } from '#tools/cli/run-folder.ts';
import { CommandError, EXIT } from '#tools/cli/terminal.ts';

const run = promisify(execFile);
const DESCRIPTORS_DEFAULT = 1_024;

/** [descriptors] the hard limit of a process started from here. */
async function descriptorLimit(): Promise<number> {
  const { stdout } = await run('/bin/sh', ['-c', 'ulimit -Hn']);
  const limit = Number(stdout.trim());
  if (stdout.trim() === 'unlimited') return Number.MAX_SAFE_INTEGER;
  return Number.isInteger(limit) ? limit : DESCRIPTORS_DEFAULT;
}

/** @throws {CommandError} with HAProxy's words if it does not accept the file */
export async function writeHaproxyConfig(folder: RunFolder, config: ResolvedConfig): Promise<void> {
  const own = join(folder.path, 'haproxy');
  await mkdir(own, { recursive: true });
  const replica = hostname().replace(/[^A-Za-z0-9-]/g, '-') || 'edge';
  const place = {
    replica,
    edge: folder.edge,
    folder: own,
    descriptors: await descriptorLimit(),
    operatorAddress: '127.0.0.1',
  };
  const path = join(own, 'haproxy.cfg');
  await writeFileAtomic(path, renderHaproxy(edgeModel(config, place)));
  try {
    await run(findProgram('haproxy') ?? 'haproxy', ['-c', '-q', '-f', path]);
  } catch (error) {
    const words =
      error instanceof Error && 'stderr' in error ? String(error.stderr) : String(error);
    throw new CommandError(`Cannot use ${path}: ${words}`, EXIT.software);
  }
}
