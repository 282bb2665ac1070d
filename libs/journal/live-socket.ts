/**
 * Who lives can be connected to: an owner listens on a Unix socket, and only a refused connection proves it dead.
 *
 * Note [Proof of death]
 * The kernel answers a connect() for the process: a stopped or busy owner still accepts (or has a full backlog, which
 * is EAGAIN), and a killed one refuses at once, however it died. No clock and no pid is involved, so it holds between
 * containers that share the folder. It does not hold for folders shared between hosts, which is not supported.
 */
import { once } from 'node:events';
import { createConnection, createServer } from 'node:net';
import { JournalError, systemCode } from './errors.ts';

/** [bytes] a Unix socket's path may have on Linux, without the closing zero */
const SOCKET_PATH_BYTES_MAX = 107;
const PROBE_TIMEOUT_MS = 1_000;

/** `dead`: refused; `missing`: there is no socket; `unknown`: anything else, to be treated as alive. */
export type Liveness = 'alive' | 'dead' | 'missing' | 'unknown';

/** A socket that says "alive" until it is disposed or the process dies. Removes its path when disposed. */
export interface LiveSocket extends AsyncDisposable {
  readonly path: string;
}

/** @throws {JournalError} `path_too_long`; or the system's error */
export async function listenLive(path: string, journalId: string): Promise<LiveSocket> {
  if (Buffer.byteLength(path) > SOCKET_PATH_BYTES_MAX)
    throw new JournalError('path_too_long', journalId, `no Unix socket can have the path ${path}`);
  const server = createServer((socket) => socket.destroy());
  server.unref();
  server.listen({ path, backlog: 511 });
  await once(server, 'listening');
  return {
    path,
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close');
      server.close();
      await closed;
    },
  };
}

/** Asks the kernel whether somebody listens at `path`. See Note [Proof of death]. */
export async function probeLive(path: string): Promise<Liveness> {
  const socket = createConnection({ path });
  const timer = setTimeout(() => socket.destroy(new Error('timeout')), PROBE_TIMEOUT_MS);
  try {
    await once(socket, 'connect');
    return 'alive';
  } catch (error) {
    const code = systemCode(error);
    if (code === 'ECONNREFUSED') return 'dead';
    return code === 'ENOENT' ? 'missing' : 'unknown';
  } finally {
    clearTimeout(timer);
    socket.destroy();
    socket.on('error', () => undefined);
  }
}
