/**
 * What `node:net` does not offer: a socket's descriptor, and reading that stops at once. `pause()` alone still takes one
 * more chunk out of the kernel, and a chunk taken here is lost for the process the socket moves to.
 */
import type { Socket } from 'node:net';

interface RawHandle {
  readonly fd: number;
  reading: boolean;
  readStart(): number;
  readStop(): number;
}

/** Undefined once the socket is closed. */
function rawHandle(socket: Socket): RawHandle | undefined {
  const handle: unknown = Reflect.get(socket, '_handle');
  return isRaw(handle) ? handle : undefined;
}

function isRaw(handle: unknown): handle is RawHandle {
  return typeof handle === 'object' && handle !== null && 'readStop' in handle && 'fd' in handle;
}

/** The descriptor; undefined once the socket is closed. */
export function descriptorOf(socket: Socket): number | undefined {
  const fd = rawHandle(socket)?.fd;
  return fd === undefined || fd < 0 ? undefined : fd;
}

/** Emits what was read already as `data`; from now on not a byte leaves the kernel. */
export function stopReading(socket: Socket): void {
  socket.pause();
  socket.read();
  const handle = rawHandle(socket);
  if (handle === undefined) return;
  handle.readStop();
  handle.reading = false;
}

/** Undoes {@link stopReading}. */
export function startReading(socket: Socket): void {
  const handle = rawHandle(socket);
  if (handle === undefined) return;
  handle.reading = true;
  handle.readStart();
  socket.resume();
}
