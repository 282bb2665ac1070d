/**
 * JSON-RPC 1.0 over keep-alive HTTP to one coin node, as Bitcoin Core and its children speak it. User and password
 * come from the URL and never leave this file.
 */
import { errors, Pool } from 'undici';
import { z } from 'zod';
import { RpcError, type RpcErrorCode } from './errors.ts';

/** [bytes] a block of 4 MB is 8 MB of hex; a full template a little more. */
const RESPONSE_BYTES_MAX = 64 * 1_048_576;
const CONNECTIONS_MAX = 16;
const CALL_TIMEOUT_MS = 10_000;
const DETAIL_CHARS_MAX = 512;

export interface CallOptions {
  /** [ms] for the whole call, connecting included */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal | undefined;
}

export interface JsonRpc extends AsyncDisposable {
  /** `host:port`, for people: without user and password. */
  readonly node: string;
  /**
   * Calls a method; sends it once more at once if a kept-alive connection turned out to be closed: every method we
   * use may be repeated.
   * @throws {RpcError}
   */
  call(method: string, params: readonly unknown[], options?: CallOptions): Promise<unknown>;
}

export interface JsonRpcOptions {
  /** `http://user:password@host:port/` */
  readonly url: string;
  readonly responseBytesMax?: number;
  /** Told about every finished call. */
  readonly onCall?: (method: string, outcome: 'ok' | RpcErrorCode, seconds: number) => void;
}

const envelope = z.object({
  result: z.unknown(),
  error: z.object({ code: z.int(), message: z.string() }).nullish(),
  id: z.union([z.int(), z.string(), z.null()]).optional(),
});

/** `http://user:password@host:9332/x` -> `http://host:9332/x`; what is not a URL becomes `(not a URL)`. */
export function redactUrl(url: string): string {
  const parsed = URL.parse(url);
  // `user:password@host` parses, too: as a scheme and a path.
  if (parsed === null || parsed.host === '') return '(not a URL)';
  parsed.username = '';
  parsed.password = '';
  parsed.search = '';
  parsed.hash = '';
  return parsed.href;
}

/** The name of a node in logs and metrics: `host:port`, with the path if it has one. */
export function nodeNameOf(url: string): string {
  return redactUrl(url)
    .replace(/^https?:\/\//, '')
    .replace(/\/$/, '');
}

export function createJsonRpc({
  url,
  responseBytesMax = RESPONSE_BYTES_MAX,
  onCall,
}: JsonRpcOptions): JsonRpc {
  const { origin, pathname, username, password } = new URL(url);
  const node = nodeNameOf(url);
  const credentials = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  const headers = {
    'content-type': 'application/json',
    ...(credentials === ':'
      ? {}
      : { authorization: `Basic ${Buffer.from(credentials).toString('base64')}` }),
  };
  // The time limits are ours, per call: a long poll may be silent for minutes.
  const pool = new Pool(origin, {
    connections: CONNECTIONS_MAX,
    pipelining: 1,
    headersTimeout: 0,
    bodyTimeout: 0,
    maxResponseSize: responseBytesMax,
  });
  let lastId = 0;

  async function post(
    body: string,
    signal: AbortSignal,
  ): Promise<{ status: number; text: string }> {
    const { statusCode, body: answer } = await pool.request({
      method: 'POST',
      path: pathname,
      headers,
      body,
      signal,
    });
    return { status: statusCode, text: await answer.text() };
  }

  async function callOnce(
    method: string,
    params: readonly unknown[],
    options: CallOptions,
  ): Promise<unknown> {
    const id = (lastId += 1);
    const timeout = AbortSignal.timeout(options.timeoutMs ?? CALL_TIMEOUT_MS);
    const signal =
      options.signal === undefined ? timeout : AbortSignal.any([timeout, options.signal]);
    const body = JSON.stringify({ jsonrpc: '1.0', id, method, params });
    try {
      const { status, text } = await post(body, signal).catch((error: unknown) => {
        if (!isStaleConnection(error) || signal.aborted) throw error;
        return post(body, signal);
      });
      return readAnswer({ method, node }, id, status, text);
    } catch (error) {
      if (error instanceof RpcError) throw error;
      throw asRpcError(error, { method, node }, timeout, options);
    }
  }

  return {
    node,
    async call(method, params, options = {}) {
      const startMs = performance.now();
      try {
        const result = await callOnce(method, params, options);
        onCall?.(method, 'ok', (performance.now() - startMs) / 1_000);
        return result;
      } catch (error) {
        if (error instanceof RpcError)
          onCall?.(method, error.code, (performance.now() - startMs) / 1_000);
        throw error;
      }
    },
    [Symbol.asyncDispose]: () => pool.destroy(),
  };
}

/** Core closes connections that were idle for 30 s; we may notice only with the next request. */
function isStaleConnection(error: unknown): boolean {
  if (error instanceof errors.SocketError) return true;
  return (
    error instanceof Error &&
    'code' in error &&
    (error.code === 'ECONNRESET' || error.code === 'EPIPE')
  );
}

type Call = { readonly method: string; readonly node: string };

function asRpcError(
  error: unknown,
  call: Call,
  timeout: AbortSignal,
  options: CallOptions,
): RpcError {
  if (options.signal?.aborted === true) return new RpcError('aborted', call, 'we are stopping');
  if (timeout.aborted) {
    return new RpcError(
      'timeout',
      call,
      `no answer within ${options.timeoutMs ?? CALL_TIMEOUT_MS} ms`,
    );
  }
  if (error instanceof errors.ResponseExceededMaxSizeError) {
    return new RpcError('malformed', call, 'the answer is too long', { cause: error });
  }
  return new RpcError('unreachable', call, error instanceof Error ? error.message : String(error), {
    cause: error,
  });
}

/** Core answers an RPC error with status 500 or 404 and the usual envelope. */
function readAnswer(call: Call, id: number, status: number, text: string): unknown {
  if (status === 401 || status === 403) {
    throw new RpcError(
      'unauthorized',
      call,
      `the node refuses user, password or address (HTTP ${status})`,
    );
  }
  // "Work queue depth exceeded": the node lives, but has no time for us.
  if (status === 503) throw new RpcError('unreachable', call, text.slice(0, DETAIL_CHARS_MAX));
  const parsed = envelope.safeParse(parseJson(text));
  if (!parsed.success)
    throw new RpcError('malformed', call, `HTTP ${status} without a JSON-RPC answer`);
  const { result, error, id: answered } = parsed.data;
  if (error !== undefined && error !== null) {
    throw new RpcError(
      'rpc',
      { ...call, rpcCode: error.code },
      error.message.slice(0, DETAIL_CHARS_MAX),
    );
  }
  if (answered !== id)
    throw new RpcError('malformed', call, `the answer is to request ${answered}, not to ${id}`);
  return result;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // The envelope refuses it with a better word.
  }
}
