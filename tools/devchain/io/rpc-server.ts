/** JSON-RPC 1.0 over HTTP with basic authentication, as Bitcoin Core serves it. Knows no method. */
import { createHash, timingSafeEqual } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { RPC, RpcFailure } from '../errors.ts';

/** @param signal aborted when the caller is gone or the server stops */
export type Call = (
  method: string,
  params: readonly unknown[],
  signal: AbortSignal,
) => Promise<unknown>;

export interface RpcServerOptions {
  readonly host: string;
  /** 0: any free one */
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly call: Call;
  /** A method failed in a way that is our bug. */
  readonly onBug: (error: unknown) => void;
}

export interface RpcServer extends AsyncDisposable {
  readonly port: number;
}

/** [bytes] A block of 4 MB is 8 MB of hex. */
const BODY_BYTES_MAX = 16_000_000;
const CONNECTIONS_MAX = 256;
const BATCH_MAX = 100;
const KEEP_ALIVE_MS = 30_000;

interface Answer {
  readonly result: unknown;
  readonly error: { readonly code: number; readonly message: string } | null;
  readonly id: unknown;
}

/** @throws if the port is taken */
export async function createRpcServer(options: RpcServerOptions): Promise<RpcServer> {
  const { host, port, user, password } = options;
  const wanted = digest(`Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`);
  const server = createServer({ keepAliveTimeout: KEEP_ALIVE_MS }, (request, response) => {
    const isAllowed = timingSafeEqual(digest(request.headers.authorization ?? ''), wanted);
    serve(request, response, isAllowed, options).catch((error: unknown) => {
      options.onBug(error);
      response.destroy();
    });
  });
  server.maxConnections = CONNECTIONS_MAX;
  server.listen(port, host);
  await once(server, 'listening');
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : port,
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

async function serve(
  request: IncomingMessage,
  response: ServerResponse,
  isAllowed: boolean,
  options: RpcServerOptions,
): Promise<void> {
  if (!isAllowed) return refuse(response, 401, { 'www-authenticate': 'Basic realm="jsonrpc"' });
  if (request.method !== 'POST') return refuse(response, 405, {});
  const body = await readBody(request);
  if (body === undefined) return refuse(response, 413, {});
  const gone = new AbortController();
  response.once('close', () => gone.abort());
  const parsed = parseJson(body);
  const answer = Array.isArray(parsed)
    ? await answerBatch(parsed, gone.signal, options)
    : await answerOne(parsed, gone.signal, options);
  if (response.destroyed) return;
  response.writeHead(statusOf(answer), { 'content-type': 'application/json' });
  response.end(`${JSON.stringify(answer)}\n`);
}

function refuse(response: ServerResponse, status: number, headers: Record<string, string>): void {
  response.writeHead(status, { ...headers, connection: 'close' });
  response.end();
}

/** @returns undefined if it is too long */
async function readBody(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > BODY_BYTES_MAX) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

async function answerBatch(
  requests: readonly unknown[],
  signal: AbortSignal,
  options: RpcServerOptions,
): Promise<readonly Answer[] | Answer> {
  if (requests.length > BATCH_MAX) return failure(null, RPC.invalidRequest, 'Batch too large');
  const answers: Answer[] = [];
  for (const request of requests) answers.push(await answerOne(request, signal, options));
  return answers;
}

async function answerOne(
  request: unknown,
  signal: AbortSignal,
  { call, onBug }: RpcServerOptions,
): Promise<Answer> {
  if (request === undefined) return failure(null, RPC.parse, 'Parse error');
  const { id = null, method, params = [] } = Object(request) as Record<string, unknown>;
  if (typeof method !== 'string') return failure(id, RPC.invalidRequest, 'Method must be a string');
  if (!Array.isArray(params)) return failure(id, RPC.invalidRequest, 'Params must be an array');
  try {
    return { result: (await call(method, params, signal)) ?? null, error: null, id };
  } catch (error) {
    if (error instanceof RpcFailure) return failure(id, error.code, error.message);
    onBug(error);
    return failure(id, RPC.misc, 'Internal error');
  }
}

function failure(id: unknown, code: number, message: string): Answer {
  return { result: null, error: { code, message }, id };
}

/** As Core: the status tells of the error, too. */
function statusOf(answer: Answer | readonly Answer[]): number {
  if (!('error' in answer) || answer.error === null) return 200;
  if (answer.error.code === RPC.methodNotFound) return 404;
  return answer.error.code === RPC.invalidRequest ? 400 : 500;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // Answered with a parse error.
  }
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
