/** One devchain per folder. A socket and not a file: it is gone with its owner, whatever ends it. */
import { once } from 'node:events';
import { mkdir, rm } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { DevchainConfigError } from '../errors.ts';

/** [bytes] of a Unix socket path; a deeper folder is not guarded. */
const PATH_BYTES_MAX = 100;

/** Holds the folder until disposed. @throws {DevchainConfigError} if another devchain lives on it */
export async function holdFolder(folder: string): Promise<AsyncDisposable> {
  await mkdir(folder, { recursive: true });
  const path = join(folder, 'devchain.lock');
  if (Buffer.byteLength(path) > PATH_BYTES_MAX)
    return { [Symbol.asyncDispose]: async () => undefined };
  if (await isAnswered(path)) {
    throw new DevchainConfigError(`Cannot use folder ${folder}: another devchain is running on it`);
  }
  await rm(path, { force: true });
  const server = createServer((socket) => socket.destroy());
  await listen(server, path);
  server.unref();
  return {
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close');
      server.close();
      await closed;
    },
  };
}

async function listen(server: Server, path: string): Promise<void> {
  server.listen(path);
  await once(server, 'listening');
}

async function isAnswered(path: string): Promise<boolean> {
  const socket = connect(path);
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false; // No such socket, or nobody behind it.
  } finally {
    socket.destroy();
  }
}
