import { expect, test } from 'vitest';
import { waitFor } from '#test/harness/wait-for.ts';
import {
  type LinkFixture,
  line,
  linkContract,
  recordingClient,
  recordingServer,
} from './link-contract.ts';
import { createMemoryLink } from './memory-link.ts';

function memoryFixture() {
  const link = createMemoryLink();
  const fixture: LinkFixture = {
    createServer: async (options) => link.createServer(options),
    createClient: (options) => link.createClient(options),
    async [Symbol.asyncDispose]() {},
  };
  return { link, fixture };
}

linkContract('memory', async () => memoryFixture().fixture);

test('silence ends the session on both sides', async () => {
  const { link, fixture } = memoryFixture();
  const { server, ended } = await recordingServer(fixture);
  await using _server = server;
  const client = recordingClient(fixture, server.endpoint);
  await waitFor(() => client.client.isUp);
  link.isCut = true;
  await waitFor(() => client.ended.length > 0 && ended.length > 0);
  expect(client.ended).toEqual(['silence']);
  expect(ended).toEqual(['socket-frontend-1 silence']);
});

test('a lost message ends the session by its counter', async () => {
  const { link, fixture } = memoryFixture();
  const { server, heard, ended } = await recordingServer(fixture);
  await using _server = server;
  const client = recordingClient(fixture, server.endpoint);
  await waitFor(() => client.client.isUp);
  link.isCut = true;
  client.client.send(line(1, 'lost'));
  client.client.flush();
  await new Promise((resolve) => setImmediate(resolve));
  link.isCut = false;
  client.client.send(line(2, 'after'));
  await waitFor(() => client.ended.length > 0 && ended.length > 0);
  expect(ended).toEqual(['socket-frontend-1 counter_difference']);
  expect(heard).toEqual([]);
});
