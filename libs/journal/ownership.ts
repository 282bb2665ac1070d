/**
 * Who owns a journal: one file `<chain>-<journal>.<owner>.owner`, whose name names the owner's socket `<owner>.live`.
 *
 * Note [Adoption]
 * A journal changes hands by renaming its owner file, whose old name holds the old owner: of any number of racing
 * adopters exactly one rename finds it. The new owner listens before it renames, and the old one listened before it
 * created the file, so at every moment the name in the folder is that of a socket that tells the truth. A clean
 * owner renames to `FREE`. When the socket is missing although nobody let go (a volume restored from a copy without
 * sockets), only another boot of the host proves the owner dead; else the journal is left alone and counted.
 */
import { randomBytes } from 'node:crypto';
import { readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { systemCode } from './errors.ts';
import { type LiveSocket, listenLive, probeLive } from './live-socket.ts';

const NAME = /^([a-z0-9][a-z0-9-]{0,31})-([0-9a-f]{32})\.([0-9a-f]{16})\.owner$/;
const LIVE_NAME = /^([0-9a-f]{16})\.live$/;
const FREE = '0'.repeat(16);

/** An owner file as found in the folder. */
export interface OwnerFile {
  readonly chain: string;
  readonly journalId: string;
  readonly ownerId: string;
}

/** The right to write one journal, held until released or the process dies. */
export interface Ownership {
  readonly file: OwnerFile;
  /** Lets go: the next adopter needs no proof. */
  release(): Promise<void>;
  /** Removes the owner file: the journal is no more. */
  erase(): Promise<void>;
}

/** Whether a journal may be taken: `unproved` is neither alive nor proved dead. */
export type OwnerState = 'free' | 'dead' | 'alive' | 'unproved';

function ownerName({ chain, journalId, ownerId }: OwnerFile): string {
  return `${chain}-${journalId}.${ownerId}.owner`;
}

/** All owner files of a folder. */
export async function listOwners(folder: string): Promise<OwnerFile[]> {
  const owners: OwnerFile[] = [];
  for (const name of await readdir(folder)) {
    const [, chain, journalId, ownerId] = NAME.exec(name) ?? [];
    if (chain !== undefined && journalId !== undefined && ownerId !== undefined)
      owners.push({ chain, journalId, ownerId });
  }
  return owners;
}

/** What is known of an owner. See Note [Proof of death] in live-socket.ts. */
export async function ownerState(folder: string, owner: OwnerFile): Promise<OwnerState> {
  if (owner.ownerId === FREE) return 'free';
  switch (await probeLive(join(folder, `${owner.ownerId}.live`))) {
    case 'dead':
      return 'dead';
    case 'missing':
      return missingSocketState(join(folder, ownerName(owner)));
    case 'alive':
    case 'unknown':
      return 'alive';
  }
}

/** The socket is gone: the owner let go just now, or its host was booted since, or nothing is known. */
async function missingSocketState(path: string): Promise<OwnerState> {
  try {
    const then = await readFile(path, 'utf8');
    const now = await hostBootId();
    return then !== '' && now !== '' && then !== now ? 'dead' : 'unproved';
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return 'alive'; // Renamed meanwhile: somebody has it.
    throw error;
  }
}

async function hostBootId(): Promise<string> {
  return readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => '');
}

/** Begins a new journal: listens, then creates the owner file. @throws the system's error, having left nothing */
export async function claimNew(
  folder: string,
  chain: string,
  journalId: string,
): Promise<Ownership> {
  const file = { chain, journalId, ownerId: newOwnerId() };
  const live = await listenLive(join(folder, `${file.ownerId}.live`), journalId);
  try {
    await writeBootId(folder, file);
  } catch (error) {
    await live[Symbol.asyncDispose]();
    throw error;
  }
  return owned(folder, file, live);
}

/** Takes over the journal of a free or dead owner; undefined if another adopter was first. */
export async function claimFrom(folder: string, old: OwnerFile): Promise<Ownership | undefined> {
  const file = { ...old, ownerId: newOwnerId() };
  const live = await listenLive(join(folder, `${file.ownerId}.live`), old.journalId);
  try {
    await rename(join(folder, ownerName(old)), join(folder, ownerName(file)));
  } catch (error) {
    await live[Symbol.asyncDispose]();
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
  // From here on it is ours. On a full disk the boot id stays the old owner's, which our socket outweighs.
  await writeBootId(folder, file).catch(() => undefined);
  if (old.ownerId !== FREE) await rm(join(folder, `${old.ownerId}.live`), { force: true });
  return owned(folder, file, live);
}

function newOwnerId(): string {
  return randomBytes(8).toString('hex');
}

/** Written whole or not at all, over a file of ours or none. */
async function writeBootId(folder: string, file: OwnerFile): Promise<void> {
  const path = join(folder, ownerName(file));
  try {
    await writeFile(`${path}.tmp`, await hostBootId(), { mode: 0o600 });
    await rename(`${path}.tmp`, path);
  } catch (error) {
    await rm(`${path}.tmp`, { force: true });
    throw error;
  }
}

function owned(folder: string, file: OwnerFile, live: LiveSocket): Ownership {
  const path = join(folder, ownerName(file));
  return {
    file,
    async release() {
      await rename(path, join(folder, ownerName({ ...file, ownerId: FREE })));
      await live[Symbol.asyncDispose]();
    },
    async erase() {
      await rm(path, { force: true });
      await live[Symbol.asyncDispose]();
    },
  };
}

/** Removes sockets that no owner file names and nobody listens on: left by who died between the two. */
export async function removeStaleSockets(folder: string): Promise<void> {
  const names = await readdir(folder);
  const owners = new Set((await listOwners(folder)).map((owner) => owner.ownerId));
  for (const name of names) {
    const ownerId = LIVE_NAME.exec(name)?.[1];
    if (ownerId === undefined || owners.has(ownerId)) continue;
    if ((await probeLive(join(folder, name))) === 'dead')
      await rm(join(folder, name), { force: true });
  }
}
