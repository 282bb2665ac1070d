import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import { assert, suite, test } from 'vitest';
import { RpcError, type RpcErrorCode } from './errors.ts';
import { createJsonRpc, nodeNameOf, redactUrl } from './json-rpc.ts';

/** A node of which each request is answered by `listener`. */
async function startNode(listener: RequestListener) {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' ? address?.port : 0;
  return {
    url: `http://us%20er:p%40ss@127.0.0.1:${port}/wallet/x`,
    server,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      const closed = once(server, 'close');
      server.close();
      await closed;
    },
  };
}

/** Answers with `status` and what `make` makes of the request. */
function answering(
  status: number,
  make: (request: { id: number; method: string }) => string,
): RequestListener {
  return (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      response.writeHead(status);
      response.end(
        make(JSON.parse(Buffer.concat(chunks).toString()) as { id: number; method: string }),
      );
    });
  };
}

async function codeOf(
  listener: RequestListener,
  options = {},
): Promise<[RpcErrorCode, number | undefined]> {
  await using node = await startNode(listener);
  await using rpc = createJsonRpc({ url: node.url, responseBytesMax: 10_000 });
  const error = await rpc.call('m', [], options).catch((failure: unknown) => failure);
  if (!(error instanceof RpcError)) throw new Error(`not an RpcError: ${String(error)}`);
  assert.notInclude(error.message + JSON.stringify(error), 'p@ss');
  return [error.code, error.rpcCode];
}

suite('createJsonRpc()', () => {
  test('calls with user and password of the URL and gives the result', async () => {
    let seen: unknown;
    await using node = await startNode((request, response) => {
      seen = [request.headers.authorization, request.url];
      answering(200, ({ id, method }) => JSON.stringify({ result: method, error: null, id }))(
        request,
        response,
      );
    });
    const calls: unknown[] = [];
    await using rpc = createJsonRpc({
      url: node.url,
      onCall: (method, outcome) => calls.push([method, outcome]),
    });
    assert.equal(await rpc.call('getblockcount', []), 'getblockcount');
    assert.deepEqual(seen, [`Basic ${Buffer.from('us er:p@ss').toString('base64')}`, '/wallet/x']);
    assert.deepEqual(calls, [['getblockcount', 'ok']]);
  });

  for (const [what, listener, code, rpcCode] of [
    [
      'an RPC error',
      answering(500, ({ id }) =>
        JSON.stringify({ result: null, error: { code: -8, message: 'x' }, id }),
      ),
      'rpc',
      -8,
    ],
    ['a wrong password', answering(401, () => ''), 'unauthorized', undefined],
    ['a forbidden address', answering(403, () => ''), 'unauthorized', undefined],
    [
      'a full work queue',
      answering(503, () => 'Work queue depth exceeded'),
      'unreachable',
      undefined,
    ],
    ['HTML', answering(200, () => '<html>'), 'malformed', undefined],
    [
      'an answer to another request',
      answering(200, ({ id }) => JSON.stringify({ result: 1, error: null, id: id + 1 })),
      'malformed',
      undefined,
    ],
    [
      'an answer that is too long',
      answering(200, ({ id }) => JSON.stringify({ result: 'x'.repeat(20_000), error: null, id })),
      'malformed',
      undefined,
    ],
    [
      'a connection that is cut',
      ((request) => request.socket.destroy()) satisfies RequestListener,
      'unreachable',
      undefined,
    ],
  ] as const) {
    test(`turns ${what} into ${code}`, async () => {
      assert.deepEqual(await codeOf(listener), [code, rpcCode]);
    });
  }

  test('waits no longer than it was told, and stops when told', async () => {
    const silent: RequestListener = () => undefined;
    assert.deepEqual(await codeOf(silent, { timeoutMs: 20 }), ['timeout', undefined]);
    assert.deepEqual(await codeOf(silent, { signal: AbortSignal.abort() }), ['aborted', undefined]);
    await using rpc = createJsonRpc({ url: 'http://127.0.0.1:1/' });
    const error = await rpc.call('m', []).catch((failure: unknown) => failure);
    assert.equal((error as RpcError).code, 'unreachable');
  });

  test('sends once more when a kept connection turns out to be closed', async () => {
    let requests = 0;
    await using node = await startNode((request, response) => {
      requests += 1;
      if (requests === 2) request.socket.destroy();
      else
        answering(200, ({ id }) => JSON.stringify({ result: requests, error: null, id }))(
          request,
          response,
        );
    });
    await using rpc = createJsonRpc({ url: node.url });
    assert.equal(await rpc.call('m', []), 1);
    assert.equal(await rpc.call('m', []), 3);
  });
});

suite('redactUrl()', () => {
  test('leaves out user, password and query', () => {
    assert.equal(redactUrl('http://u:p@h:9332/w?x=p#p'), 'http://h:9332/w');
    assert.equal(redactUrl('u:p@h'), '(not a URL)');
    assert.equal(redactUrl('no url: p'), '(not a URL)');
    assert.equal(nodeNameOf('http://u:p@h:9332/'), 'h:9332');
  });
});
