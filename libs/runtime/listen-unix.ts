/** Listening on a Unix socket whose path may be left over from a dead process, or be handed to a successor. */
import { chmod, mkdir, rename, rm } from 'node:fs/promises';
import { connect, type Server } from 'node:net';
import { dirname } from 'node:path';

/**
 * Binds beside and renames over, so that the path always leads somewhere. Anybody may connect: HAProxy runs as a user of
 * its own; the folder says who can reach the path.
 *
 * @returns disposed: removes the path and stops listening; open connections stay
 */
export async function listenUnix(server: Server, path: string): Promise<AsyncDisposable> {
  await mkdir(dirname(path), { recursive: true });
  const temp = `${path}.${process.pid}.tmp`;
  await rm(temp, { force: true });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(temp, () => {
      server.removeListener('error', reject);
      resolve();
    });
  });
  await chmod(temp, 0o777);
  await rename(temp, path);
  return {
    async [Symbol.asyncDispose]() {
      await rm(path, { force: true });
      server.close();
    },
  };
}

/** Whether somebody listens behind a Unix socket's path. */
export async function isServing(path: string): Promise<boolean> {
  return await new Promise((resolve) => {
    const probe = connect(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', () => resolve(false));
  });
}
