import { expect, test } from 'vitest';
import { Dealer } from 'zeromq';
import { deriveMeshKeys } from '#libs/bus/derive-mesh-keys.ts';
import { waitFor } from '#test/harness/wait-for.ts';
import { createLinkClient } from './link-client.ts';
import {
  type LinkFixture,
  line,
  linkContract,
  recordingClient,
  recordingServer,
} from './link-contract.ts';
import { createLinkServer } from './link-server.ts';

const meshKeys = deriveMeshKeys(['a mesh secret for this test only']);
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
