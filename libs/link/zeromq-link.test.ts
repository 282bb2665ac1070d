import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { expect, suite, test } from 'vitest';
import { Dealer } from 'zeromq';
import { deriveMeshKeys } from '#libs/bus/derive-mesh-keys.ts';
import { waitFor } from '#test/harness/wait-for.ts';
import { createLinkClient } from './link-client.ts';
import { encodeLinkMessage } from './link-codec.ts';
import {
  type LinkFixture,
  line,
  linkContract,
  recordingClient,
  recordingServer,
} from './link-contract.ts';
import { createLinkServer } from './link-server.ts';

const SECRET = 'a mesh secret for this test only';
const meshKeys = deriveMeshKeys([SECRET]);
const strangerKeys = deriveMeshKeys(['somebody else, not of this mesh']);

function zeromqFixture(clientKeys = meshKeys): LinkFixture {
  return {
    createServer: (options) =>
      createLinkServer({
        ...options,
        meshKeys,
        bindAddress: '127.0.0.1',
        advertiseAddress: '127.0.0.1',
        portRange: [24_500, 24_999],
      }),
    createClient: (options) =>
      createLinkClient({
        ...options,
        meshKeys: clientKeys,
        server: { ...options.server, serverKeyId: clientKeys.own.keyId },
      }),
    async [Symbol.asyncDispose]() {},
  };
}

linkContract('zeromq', async () => zeromqFixture());

test('a frontend without the mesh secret is never welcome, and is counted', async () => {
  const { server, metrics } = await recordingServer(zeromqFixture());
  await using _server = server;
  const stranger = recordingClient(zeromqFixture(strangerKeys), server.endpoint);
  await waitFor(() => stranger.ended.length > 0);
  expect(stranger.client.isUp).toBe(false);
  await waitFor(async () => /seam_bus_refused_total\{[^}]*\} [1-9]/.test(await metrics.metrics()));
  expect(server.sessions).toEqual([]);
});

test('a server that is not there ends the client', async () => {
  const client = recordingClient(zeromqFixture(), 'tcp://127.0.0.1:1');
  await waitFor(() => client.ended.length > 0);
  expect(client.client.isUp).toBe(false);
});

test('garbage ends the session of its sender and nobody else', async () => {
  const { server, ended, metrics } = await recordingServer(zeromqFixture());
  await using _server = server;
  const client = recordingClient(zeromqFixture(), server.endpoint);
  await using _client = client.client;
  await waitFor(() => client.client.isUp);
  const { own } = meshKeys;
  const noisy = new Dealer({
    curveServerKey: own.server.publicKey,
    curvePublicKey: own.client.publicKey,
    curveSecretKey: own.client.secretKey,
    linger: 0,
  });
  noisy.connect(server.endpoint);
  await noisy.send(['one frame too many', 'x']);
  await noisy.send('garbage');
  await waitFor(async () => /seam_link_malformed_total 1/.test(await metrics.metrics()));
  noisy.close();
  client.client.send(line(1, 'still here'));
  await waitFor(() => client.client.pendingBytes === 0);
  expect(ended).toEqual([]);
});

test('a server stops though its only frontend is gone without a word', async () => {
  const { server, ended } = await recordingServer(zeromqFixture());
  const { own } = meshKeys;
  const silent = new Dealer({
    curveServerKey: own.server.publicKey,
    curvePublicKey: own.client.publicKey,
    curveSecretKey: own.client.secretKey,
    linger: 0,
  });
  silent.connect(server.endpoint);
  await silent.send(
    encodeLinkMessage({
      kind: 'hello',
      session: 1n,
      frontendId: 'gone',
      bootId: 1n,
      versions: [1],
    }),
  );
  await waitFor(() => server.sessions.length === 1);
  const isGone = new Promise((resolve) => silent.events.on('end', resolve));
  silent.close();
  await isGone;
  await server[Symbol.asyncDispose]();
  expect(ended).toHaveLength(1);
});

suite('a server process', () => {
  /** What the process said, and a way to hurt it. */
  async function startServerProcess() {
    const said: string[] = [];
    const script = join(import.meta.dirname, 'link-server.fixture.ts');
    const child = spawn(
      process.execPath,
      [script, SECRET, 'stratum-server-1', '00000000000000aa'],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
    child.stdout.on('data', (text) => said.push(...String(text).trim().split('\n')));
    const first = await waitFor(() => said[0], { what: 'the endpoint' });
    return {
      said,
      child,
      endpoint: first.replace('endpoint ', ''),
      [Symbol.dispose]: () => void child.kill('SIGKILL'),
    };
  }

  test('that is killed ends the session by the disconnect event', async () => {
    using server = await startServerProcess();
    const client = recordingClient(zeromqFixture(), server.endpoint);
    await waitFor(() => client.client.isUp);
    server.child.kill('SIGKILL');
    await waitFor(() => client.ended.length > 0);
    expect(client.ended).toEqual(['disconnected']);
  });

  test('that is frozen loses the session by silence, and is fenced when it wakes', async () => {
    using server = await startServerProcess();
    const client = recordingClient(zeromqFixture(), server.endpoint);
    await waitFor(() => client.client.isUp);
    server.child.kill('SIGSTOP');
    client.client.send(line(1, 'said to a frozen server'));
    await waitFor(() => client.ended.length > 0);
    expect(['silence', 'disconnected']).toContain(client.ended[0]); // Ours, or libzmq's ping: whoever was first.
    server.child.kill('SIGCONT');
    await waitFor(() => server.said.some((text) => text.startsWith('ended')));
    expect(server.said.slice(1)).toEqual(['opened', 'ended own_pause']);
  });
});
