import { existsSync } from 'node:fs';
import { expect, suite, test } from 'vitest';
import { waitFor } from '#test/harness/wait-for.ts';
import { DEFAULT_LIMITS } from '../core/limits.ts';
import { encodeProxyHeader } from '../core/proxy-header.fixture.ts';
import { connectMiner, type EchoServer, startFrontend } from './frontend.fixture.ts';

const LIMITS = {
  ...DEFAULT_LIMITS,
  lineBytesMax: 16_384,
  unacknowledgedLinesMax: 64,
  holdMs: 45_000,
  firstLineMs: 30_000,
};

/** What no stratum-server knows must pass as it is: the frontend reads no line. */
const STRANGE = [
  '{"id":1,"method":"mining.subscribe","params":[]}',
  '{ "id" : "x" , "method":"no.such\\u0000method", "params":[[[[1e400]]]]}',
  'not json at all \t  ',
  '\u{1f98a} ünïcode "\\ud800"',
  '}{][',
];

const linesHeardBy = (server: EchoServer) =>
  server.heard.flatMap((item) => (item.kind === 'line' ? [item] : []));
const opensHeardBy = (server: EchoServer) =>
  server.heard.flatMap((item) => (item.kind === 'open' ? [item] : []));

suite('a frontend', () => {
  test('listens only for what a server has work for', async () => {
    await using fixture = await startFrontend();
    expect(existsSync(fixture.pathOf('main'))).toBe(false);
    const server = await fixture.startServer('stratum-server-1');
    await waitFor(() => existsSync(fixture.pathOf('main')));
    expect(existsSync(fixture.pathOf('low'))).toBe(false);
    server.say({ kind: 'listen', listener: 'low', isUp: true });
    server.say({ kind: 'listen', listener: 'main', isUp: false });
    await waitFor(() => existsSync(fixture.pathOf('low')) && !existsSync(fixture.pathOf('main')));
  });

  test('passes lines unchanged byte for byte, and the answers back', async () => {
    await using fixture = await startFrontend();
    const server = await fixture.startServer('stratum-server-1');
    using miner = await fixture.connect('main', { uniqueId: 'edge-1-CB007107:C822' });
    miner.write(`${STRANGE.join('\n')}\n`);
    await waitFor(
      () => miner.received.length > 0 && linesHeardBy(server).length === STRANGE.length,
    );
    expect(linesHeardBy(server).map(({ bytes }) => Buffer.from(bytes).toString())).toEqual(STRANGE);
    await waitFor(() => miner.received === `${STRANGE.join('\n')}\n`);
    expect(opensHeardBy(server)).toMatchObject([
      {
        conn: 'edge-1-CB007107:C822',
        peerAddress: '203.0.113.7',
        peerPort: 51_234,
        listener: 'main',
        opening: 1,
      },
    ]);
  });

  test('passes raw bytes that are not even text', async () => {
    await using fixture = await startFrontend();
    const server = await fixture.startServer('stratum-server-1');
    using miner = await fixture.connect('main');
    const bytes = Buffer.from(
      Array.from({ length: 256 }, (_, index) => index).filter((byte) => byte !== 0x0a),
    );
    miner.write(Buffer.concat([bytes, Buffer.from('\n')]));
    const line = await waitFor(() => linesHeardBy(server)[0]);
    expect(Buffer.from(line.bytes).equals(bytes)).toBe(true);
  });

  test('makes up an id where HAProxy sent none, and serves LOCAL connections', async () => {
    await using fixture = await startFrontend();
    const server = await fixture.startServer('stratum-server-1');
    using miner = await fixture.connect('main', { local: true });
    miner.write('hello\n');
    await waitFor(() => miner.received === 'hello\n');
    expect(opensHeardBy(server)).toMatchObject([
      { conn: 'socket-frontend-1-00000000000000bb-1', peerAddress: '' },
    ]);
    expect(await fixture.metric('seam_frontend_local_connections_total')).toBe(1);
  });

  test('tells the server when a miner leaves, and forgets it', async () => {
    await using fixture = await startFrontend();
    const server = await fixture.startServer('stratum-server-1');
    using miner = await fixture.connect('main');
    miner.write('hello\n');
    await waitFor(() => miner.received === 'hello\n');
    miner.socket.destroy();
    await waitFor(() => server.heard.some((item) => item.kind === 'close'));
    expect(fixture.frontend.connectionCount).toBe(0);
  });

  test('fans a cast out to its group', async () => {
    await using fixture = await startFrontend();
    const server = await fixture.startServer('stratum-server-1');
    using first = await fixture.connect('main');
    using second = await fixture.connect('main');
    using other = await fixture.connect('main');
    for (const miner of [first, second, other]) miner.write('hello\n');
    await waitFor(() => opensHeardBy(server).length === 3);
    for (const { handle, opening } of opensHeardBy(server).slice(0, 2))
      server.say({ kind: 'join', handle, opening, group: 9 });
    server.say({
      kind: 'cast',
      group: 9,
      bytes: Buffer.from('new block\n'),
      mark: Buffer.from('job1'),
      replaces: 'all',
    });
    await waitFor(
      () => first.received.endsWith('new block\n') && second.received.endsWith('new block\n'),
    );
    expect(other.received).toBe('hello\n');
  });

  test('says FIN after what was written when a server closes a connection', async () => {
    await using fixture = await startFrontend();
    const server = await fixture.startServer('stratum-server-1');
    using miner = await fixture.connect('main');
    miner.write('hello\n');
    const { handle, opening } = await waitFor(() => opensHeardBy(server)[0]);
    server.say({
      kind: 'write',
      handle,
      opening,
      bytes: Buffer.from('bye\n'),
      mark: new Uint8Array(0),
    });
    server.say({ kind: 'close', handle, opening, reason: 'banned' });
    await waitFor(() => miner.isClosed);
    expect(miner.received).toBe('hello\nbye\n');
  });

  test('answers a miner that sends its lines and FIN at once', async () => {
    await using fixture = await startFrontend();
    await fixture.startServer('stratum-server-1');
    using miner = await fixture.connect('main');
    miner.socket.end('one\ntwo\nthree');
    await waitFor(() => miner.isClosed);
    expect(miner.received).toBe('one\ntwo\n');
  });
});

suite('failover', () => {
  test('lines without an answer go to another server under the same numbers, with the capsule', async () => {
    await using fixture = await startFrontend();
    const dying = await fixture.startServer('stratum-server-1');
    using miner = await fixture.connect('main', { uniqueId: 'conn-1' });
    miner.write('one\ntwo\n');
    await waitFor(() => miner.received === 'one\ntwo\n');
    const { handle, opening } = opensHeardBy(dying)[0] ?? { handle: 0, opening: 0 };
    dying.say({ kind: 'join', handle, opening, group: 1 });
    dying.say({
      kind: 'cast',
      group: 1,
      bytes: Buffer.from('job\n'),
      mark: Buffer.from('mark'),
      replaces: 'all',
    });
    await waitFor(() => miner.received.endsWith('job\n'));
    dying.isAnswering = false;
    miner.write('three\nfour\n');
    await waitFor(() => linesHeardBy(dying).length === 4);
    const next = await fixture.startServer('stratum-server-2');
    dying.kill();
    await waitFor(() => miner.received.endsWith('three\nfour\n'));
    const [open] = opensHeardBy(next);
    expect(open).toMatchObject({ conn: 'conn-1', opening: 2, nextSeq: 3 });
    expect(Buffer.from(open?.capsule ?? []).toString()).toBe('1,2,');
    expect(open?.marks.map((mark) => Buffer.from(mark).toString())).toEqual(['mark']);
    expect(linesHeardBy(next).map(({ seq, opening }) => [seq, opening])).toEqual([
      [3, 2],
      [4, 2],
    ]);
    miner.write('five\n');
    await waitFor(() => miner.received === 'one\ntwo\njob\nthree\nfour\nfive\n');
    expect(await fixture.metric('seam_frontend_resent_lines_total')).toBe(2);
  });

  test('without any server lines and sockets are held, and a keep-alive goes on', async () => {
    await using fixture = await startFrontend();
    const dying = await fixture.startServer('stratum-server-1');
    using miner = await fixture.connect('main');
    miner.write('one\n');
    const { handle, opening } = await waitFor(() => opensHeardBy(dying)[0]);
    dying.say({ kind: 'idle', handle, opening, afterMs: 300, bytes: Buffer.from('still here\n') });
    await waitFor(() => miner.received.includes('still here'));
    dying.kill();
    await waitFor(async () => (await fixture.metric('seam_frontend_held_connections')) === 1);
    expect(
      existsSync(fixture.pathOf('main')),
      'a restart of all servers does not take listeners down',
    ).toBe(true);
    miner.write('two\n');
    using late = await fixture.connect('main');
    late.write('hello\n');
    const before = miner.received.length;
    await waitFor(() => miner.received.slice(before).includes('still here'));
    await fixture.startServer('stratum-server-2');
    await waitFor(() => miner.received.includes('two\n') && late.received === 'hello\n');
    expect(miner.isClosed).toBe(false);
  });

  test('without any server for too long sockets are closed', async () => {
    await using fixture = await startFrontend({
      limits: { ...LIMITS, holdMs: 500, holdSpreadMs: 100, closeMs: 200 },
    });
    const dying = await fixture.startServer('stratum-server-1');
    using miner = await fixture.connect('main');
    miner.write('one\n');
    await waitFor(() => miner.received === 'one\n');
    dying.kill();
    await waitFor(() => miner.isClosed && !existsSync(fixture.pathOf('main')));
    expect(fixture.frontend.connectionCount).toBe(0);
  });

  test('a released connection moves, the server that released it lives on', async () => {
    await using fixture = await startFrontend();
    const draining = await fixture.startServer('stratum-server-1');
    using miner = await fixture.connect('main');
    miner.write('one\n');
    await waitFor(() => miner.received === 'one\n');
    const next = await fixture.startServer('stratum-server-2');
    await waitFor(async () => (await fixture.metric('seam_frontend_links')) === 2);
    draining.accepts = false;
    const { handle, opening } = opensHeardBy(draining)[0] ?? { handle: 0, opening: 0 };
    draining.say({ kind: 'release', handle, opening });
    await waitFor(() => opensHeardBy(next).length === 1);
    miner.write('two\n');
    await waitFor(() => miner.received === 'one\ntwo\n');
    expect(linesHeardBy(draining)).toHaveLength(1);
    expect(draining.heard.some((item) => item.kind === 'close')).toBe(false);
  });

  test('a new server gets its part of the living connections', async () => {
    await using fixture = await startFrontend();
    const old = await fixture.startServer('stratum-server-1');
    const miners = await Promise.all(Array.from({ length: 60 }, () => fixture.connect('main')));
    for (const miner of miners) miner.write('hello\n');
    await waitFor(() => miners.every(({ received }) => received === 'hello\n'));
    const holds = (server: EchoServer) => {
      const [opens, closes] = [
        opensHeardBy(server).length,
        server.heard.filter((item) => item.kind === 'close').length,
      ];
      server.load = opens - closes;
      return server.load;
    };
    const next = await fixture.startServer('stratum-server-2');
    await waitFor(() => holds(old) + holds(next) === 60 && holds(next) >= 20);
    for (const miner of miners) miner.write('again\n');
    await waitFor(() => miners.every(({ received }) => received === 'hello\nagain\n'));
    expect(holds(next)).toBeLessThanOrEqual(40);
    for (const miner of miners) miner[Symbol.dispose]();
  });
});

suite('hostile input', () => {
  test('a line of a megabyte closes its socket and nothing else', async () => {
    await using fixture = await startFrontend();
    await fixture.startServer('stratum-server-1');
    using good = await fixture.connect('main');
    using bad = await fixture.connect('main');
    good.write('hello\n');
    bad.write('first\n');
    bad.write('x'.repeat(1_048_576));
    await waitFor(() => bad.isClosed);
    good.write('again\n');
    await waitFor(() => good.received === 'hello\nagain\n');
    expect(fixture.frontend.connectionCount).toBe(1);
  });

  test.each([
    ['garbage', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
    ['stratum without a header', Buffer.from('{"id":1,"method":"mining.subscribe"}\n')],
    ['a header of version 1', Buffer.from('PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n')],
    ['random bytes', Buffer.from('00ff00ff00ff00ff', 'hex')],
  ])('%s instead of a PROXY header closes the socket', async (_what, bytes) => {
    await using fixture = await startFrontend();
    await fixture.startServer('stratum-server-1');
    using bad = await connectMiner(fixture.pathOf('main'), bytes);
    await waitFor(() => bad.isClosed);
    expect(await fixture.metric('seam_frontend_headers_refused_total')).toBe(1);
    expect(bad.received).toBe('');
  });

  test('half a PROXY header is waited for, in pieces too, but not for ever', async () => {
    await using fixture = await startFrontend({ limits: { ...LIMITS, headerMs: 1_500 } });
    const server = await fixture.startServer('stratum-server-1');
    const whole = Buffer.concat([
      encodeProxyHeader({ uniqueId: 'in-pieces' }),
      Buffer.from('hello\n'),
    ]);
    using slow = await connectMiner(fixture.pathOf('main'), whole.subarray(0, 1));
    for (const byte of whole.subarray(1)) {
      slow.write(Uint8Array.of(byte));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await waitFor(() => slow.received === 'hello\n');
    expect(opensHeardBy(server)).toMatchObject([{ conn: 'in-pieces' }]);
    using half = await connectMiner(fixture.pathOf('main'), whole.subarray(0, 20));
    await waitFor(() => half.isClosed);
    expect(await fixture.metric('seam_frontend_headers_refused_total')).toBe(1);
  });

  test('a miner that never reads is closed, the others go on', async () => {
    await using fixture = await startFrontend();
    const server = await fixture.startServer('stratum-server-1');
    using good = await fixture.connect('main');
    good.write('hello\n');
    using lazy = await fixture.connect('main');
    lazy.write('hello\n');
    await waitFor(() => opensHeardBy(server).length === 2 && lazy.received === 'hello\n');
    lazy.socket.pause();
    const { handle, opening } = opensHeardBy(server)[1] ?? { handle: 0, opening: 0 };
    const flood = Buffer.alloc(65_536, 'x');
    await waitFor(() => {
      server.say({ kind: 'write', handle, opening, bytes: flood, mark: new Uint8Array(0) });
      return server.heard.some((item) => item.kind === 'close' && item.reason === 'slow_reader');
    });
    good.write('again\n');
    await waitFor(() => good.received === 'hello\nagain\n');
  });

  test('a miner that sends without end is read only as fast as it is answered', async () => {
    await using fixture = await startFrontend();
    const server = await fixture.startServer('stratum-server-1');
    server.isAnswering = false;
    using flood = await fixture.connect('main');
    flood.write('line\n'.repeat(200_000));
    await waitFor(() => linesHeardBy(server).length === 64);
    await waitFor(async () => (await fixture.metric('seam_frontend_paused_connections')) === 1);
    expect(linesHeardBy(server)).toHaveLength(64);
    expect(await fixture.metric('seam_frontend_held_input_bytes')).toBeLessThan(200_000);
  });

  test('more connections than the bound stop the listening, until there is room', async () => {
    await using fixture = await startFrontend({ connectionsMax: 3 });
    await fixture.startServer('stratum-server-1');
    const miners = await Promise.all([1, 2, 3].map(() => fixture.connect('main')));
    await waitFor(() => !existsSync(fixture.pathOf('main')));
    for (const miner of miners) miner[Symbol.dispose]();
    await waitFor(() => existsSync(fixture.pathOf('main')));
  });
});

test('draining stops the listening, keeps connections and ends with the last one', async () => {
  await using fixture = await startFrontend();
  await fixture.startServer('stratum-server-1');
  using miner = await fixture.connect('main');
  miner.write('hello\n');
  await waitFor(() => miner.received === 'hello\n');
  let isSilent = false;
  let isDrained = false;
  const drained = fixture.frontend
    .drain(new AbortController().signal, async () => {
      isSilent = true;
    })
    .then(() => {
      isDrained = true;
    });
  await waitFor(() => isSilent);
  expect(existsSync(fixture.pathOf('main'))).toBe(false);
  miner.write('again\n');
  await waitFor(() => miner.received === 'hello\nagain\n');
  expect(isDrained).toBe(false);
  miner.socket.destroy();
  await drained;
  expect(fixture.failures).toEqual([]);
});
