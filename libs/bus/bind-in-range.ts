/** Finding a port to bind to. */
import type { Socket } from 'zeromq';

/** First and last port, both included; the same twice means exactly that port. */
export type PortRange = readonly [first: number, last: number];

type Bindable = Pick<Socket, 'bind' | 'lastEndpoint'>;

/**
 * Binds to the first free port of a range. Listen to the socket's events only afterwards, if you can: with a
 * monitor on it, libzmq 4.3.5 spoils the error of a failed bind.
 *
 * @param address host or IP to bind to; an IPv6 one without brackets
 * @returns the port
 * @throws {Error} if all ports are taken, or the address is not ours
 */
export async function bindInRange(
  socket: Bindable,
  address: string,
  [first, last]: PortRange,
): Promise<number> {
  for (let port = first; port <= last; port += 1) {
    if (await tryBind(socket, tcpEndpoint(address, port), port)) return port;
  }
  throw new Error(`Cannot bind to ${address}: every port in ${first}-${last} is taken`);
}

async function tryBind(socket: Bindable, endpoint: string, port: number): Promise<boolean> {
  try {
    await socket.bind(endpoint);
    return socket.lastEndpoint?.endsWith(`:${port}`) === true; // A spoiled error may look like success.
  } catch (error) {
    if (isAddressInUse(error) || isSpoiled(error)) return false;
    throw new Error(`Cannot bind to ${endpoint}`, { cause: error });
  }
}

export function isAddressInUse(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EADDRINUSE';
}

/** `tcp://host:port`, with an IPv6 address in brackets. */
export function tcpEndpoint(address: string, port: number): string {
  return `tcp://${address.includes(':') ? `[${address}]` : address}:${port}`;
}

/** What a monitor makes of a bind's EADDRINUSE; `bind` itself never fails so. */
function isSpoiled(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EAGAIN';
}
