/** Listening on a Unix socket whose path may be left over from a dead process, or be handed to a successor. */
import { chmod, mkdir, rename, rm, stat } from 'node:fs/promises';
import { connect, type Server } from 'node:net';
import { dirname } from 'node:path';
import { ConfigError } from './errors.ts';

/** [bytes] sun_path of unix(7), less its zero */
const PATH_BYTES_MAX = 107;
/** Answers of a path nobody listens on. A full backlog (EAGAIN) is somebody, and a busy one. */
const NOBODY = ['ECONNREFUSED', 'ENOENT', 'ENOTSOCK', 'ENOTDIR'];

/**
 * Binds beside and renames over, so that the path always leads somewhere. Anybody may connect: HAProxy runs as a user of
 * its own; the folder says who can reach the path.
 *
 * @returns disposed: stops listening and removes the path, unless a successor has it by now; open connections stay
 * @throws {ConfigError} if the path is too long for a Unix socket
 */
export async function listenUnix(server: Server, path: string): Promise<AsyncDisposable> {
  const temp = `${path}.${process.pid}.tmp`;
  if (Buffer.byteLength(temp) > PATH_BYTES_MAX)
    throw new ConfigError([`the run folder's path is too long for a Unix socket: ${temp}`]);
  await mkdir(dirname(path), { recursive: true });
  await rm(temp, { force: true });
  await listening(server, temp);
  await chmod(temp, 0o777);
  const inode = await inodeOf(temp);
  await rename(temp, path);
  return {
    async [Symbol.asyncDispose]() {
      if ((await inodeOf(path)) === inode) await rm(path, { force: true });
      server.close();
    },
  };
}

async function listening(server: Server, path: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, () => {
      server.removeListener('error', reject);
      resolve();
    });
  });
}

async function inodeOf(path: string): Promise<number | undefined> {
  return await stat(path).then(
    ({ ino }) => ino,
    () => undefined,
  );
}

/** Whether somebody listens behind a Unix socket's path, busy or frozen ones included. */
export async function isServing(path: string): Promise<boolean> {
  return await new Promise((resolve) => {
    const probe = connect(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', (error: NodeJS.ErrnoException) =>
      resolve(!NOBODY.includes(error.code ?? '')),
    );
  });
}
