/** /healthz, /readyz and /metrics of a process, on a port of its own. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Registry } from '@prometheus-io/client';

/** [ms] */
const REQUEST_MAX_MS = 10_000;
/** Scrapers and health checks; more is a mistake of somebody's. */
const CONNECTIONS_MAX = 256;

export interface HealthOptions {
  readonly bindAddress: string;
  readonly portRange: readonly [number, number];
  /** Exactly this port, when configured. */
  readonly port: number | undefined;
  readonly metrics: Registry;
  readonly readiness: () => { readonly isReady: boolean; readonly reason: string };
}

export interface HealthServer extends AsyncDisposable {
  readonly port: number;
}

/** @throws {Error} `EADDRINUSE` for a fixed port, or if the whole range is taken */
export async function startHealthServer(options: HealthOptions): Promise<HealthServer> {
  const server = createServer((request, response) => void answer(request, response, options));
  server.requestTimeout = REQUEST_MAX_MS;
  server.maxConnections = CONNECTIONS_MAX;
  const port = await listenInRange(server, options);
  return {
    port,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function listenInRange(
  server: Server,
  { bindAddress, portRange, port }: HealthOptions,
): Promise<number> {
  const [first, last] = port === undefined ? portRange : [port, port];
  for (let candidate = first; candidate <= last; candidate += 1) {
    if (await tryListen(server, candidate, bindAddress)) return candidate;
  }
  const what = port === undefined ? `every port in ${first}-${last}` : `port ${port}`;
  throw Object.assign(new Error(`Cannot serve health: ${what} is taken`), {
    code: 'EADDRINUSE',
    port: first,
  });
}

async function tryListen(server: Server, port: number, host: string): Promise<boolean> {
  return await new Promise((resolve, reject) => {
    const onError = (error: NodeJS.ErrnoException) => {
      server.removeListener('listening', onListening);
      if (error.code === 'EADDRINUSE') resolve(false);
      else reject(error);
    };
    const onListening = () => {
      server.removeListener('error', onError);
      resolve(true);
    };
    server
      .once('error', onError)
      .once('listening', onListening)
      .listen({ port, host, exclusive: true });
  });
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  options: HealthOptions,
): Promise<void> {
  const send = (status: number, body: unknown) =>
    response
      .writeHead(status, { 'content-type': 'application/json' })
      .end(`${JSON.stringify(body)}\n`);
  try {
    switch (request.url?.split('?', 1)[0]) {
      case '/healthz':
        return void send(200, { ok: true });
      case '/readyz': {
        const { isReady, reason } = options.readiness();
        return void send(isReady ? 200 : 503, { ready: isReady, reason });
      }
      case '/metrics': {
        const text = await options.metrics.metrics();
        return void response
          .writeHead(200, { 'content-type': options.metrics.contentType })
          .end(text);
      }
      default:
        return void send(404, { error: 'There are /healthz, /readyz and /metrics' });
    }
  } catch (error) {
    send(500, { error: error instanceof Error ? error.message : 'unknown error' });
  }
}
