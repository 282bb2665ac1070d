/** Ports that are free for us. */
import { once } from 'node:events';
import { createServer } from 'node:net';

/** A port of the loopback that is free now. */
export async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const address = probe.address();
  probe.close();
  await once(probe, 'close');
  if (address === null || typeof address === 'string')
    throw new Error('Cannot find a free port: the system gave none');
  return address.port;
}

/** Whether nobody listens on the port of that address. */
export async function isPortFree(port: number, host: string): Promise<boolean> {
  const probe = createServer();
  return await new Promise((resolve) => {
    probe.once('error', () => resolve(false));
    probe.listen({ port, host, exclusive: true }, () => probe.close(() => resolve(true)));
  });
}
