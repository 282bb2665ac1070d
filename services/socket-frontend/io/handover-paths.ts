/** Where frontends of the same edge folder find each other for a hand-over: one pair of Unix sockets a life of a process. */
import { randomBytes } from 'node:crypto';
import { chmod, mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';

export interface HandoverPaths {
  /** Messages. */
  readonly control: string;
  /** Descriptors. */
  readonly descriptors: string;
}

const CONTROL = '.sock';

/** Short names: a Unix socket's path has room for 107 bytes. */
export function handoverPaths(folder: string, bootId: string): HandoverPaths {
  return {
    control: join(folder, `${bootId}${CONTROL}`),
    descriptors: join(folder, `${bootId}.fds`),
  };
}

export function handoverFolder(edgeFolder: string): string {
  return join(edgeFolder, 'handover');
}

/** Ours alone: whoever can connect there can give us sockets. */
export async function makeHandoverFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await chmod(folder, 0o700).catch(() => undefined); // Another container's user made it; its mode is theirs.
}

/** Boot ids that left a control socket there, living or not. */
export async function listHandoverPeers(folder: string): Promise<readonly string[]> {
  const names = await readdir(folder).catch(() => []);
  return names
    .filter((name) => name.endsWith(CONTROL))
    .map((name) => name.slice(0, -CONTROL.length));
}

/** A name for one life of a giver: slices are counted within it. */
export function newGiverName(bootId: string): string {
  return `${bootId}-${randomBytes(4).toString('hex')}`;
}
