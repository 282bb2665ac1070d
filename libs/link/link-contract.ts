/** What every transport of the link does. Run by the tests of each. */
import { pino } from 'pino';
import { Registry as MetricRegistry } from '@prometheus-io/client';
import { expect, suite, test } from 'vitest';
import { waitFor } from '#test/harness/wait-for.ts';
import type { DownItem, UpItem } from './items.ts';
import type { LinkClient, LinkClientOptions } from './link-client.ts';
import type { LinkPeer, LinkServer, LinkServerOptions } from './link-server.ts';

type Transport = 'meshKeys' | 'bindAddress' | 'advertiseAddress' | 'portRange';

export interface LinkFixture extends AsyncDisposable {
  createServer(options: Omit<LinkServerOptions, Transport>): Promise<LinkServer>;
  createClient(options: Omit<LinkClientOptions, 'meshKeys'>): LinkClient;
}

const SERVER = { id: 'stratum-server-1', bootId: '00000000000000aa' };
const FRONTEND = { id: 'socket-frontend-1', bootId: '00000000000000bb' };

export const line = (seq: number, text: string, handle = 7): UpItem => ({
  kind: 'line',
  handle,
  opening: 1,
  seq,
  ageMs: 0,
  bytes: Buffer.from(text),
});

/** A server that remembers what it heard. */
export async function recordingServer(
  fixture: LinkFixture,
  answer?: (peer: LinkPeer, items: readonly UpItem[]) => void,
) {
  const heard: UpItem[][] = [];
  const ended: string[] = [];
  const load = { load: 0, accepts: true };
  const metrics = new MetricRegistry();
  const server = await fixture.createServer({
    identity: SERVER,
    log: pino({ enabled: false }),
    metrics,
    onSessionOpened: () => undefined,
    onMessage: (peer, items) => {
      heard.push(items.map(copyOf));
      answer?.(peer, items);
    },
    onSessionEnded: (peer, reason) => ended.push(`${peer.frontendId} ${reason}`),
    load: () => load,
  });
  return { server, heard, ended, load, metrics };
}

/** A client that remembers what it heard. */
export function recordingClient(
  fixture: LinkFixture,
  endpoint: string,
  serverBootId = SERVER.bootId,
) {
  const heard: DownItem[][] = [];
  const ended: string[] = [];
  const loads: { load: number; accepts: boolean }[] = [];
  const client = fixture.createClient({
    identity: FRONTEND,
    server: { id: SERVER.id, bootId: serverBootId, endpoint, serverKeyId: '' },
    log: pino({ enabled: false }),
    metrics: new MetricRegistry(),
    onUp: () => undefined,
    onItems: (items) => void heard.push(items.map(copyOf)),
    onHeartbeat: (load) => void loads.push(load),
    onEnded: (reason) => void ended.push(reason),
  });
  return { client, heard, ended, loads };
}

function copyOf<I extends UpItem | DownItem>(item: I): I {
  return 'bytes' in item ? { ...item, bytes: Buffer.from(item.bytes) } : item;
}

export function linkContract(name: string, start: () => Promise<LinkFixture>): void {
  suite(`link over ${name}`, () => {
    test('carries what one turn queued as one message, in both directions', async () => {
      await using fixture = await start();
      const answer: DownItem[] = [
        {
          kind: 'write',
          handle: 7,
          opening: 1,
          bytes: Buffer.from('{}\n'),
          mark: Buffer.from('job'),
        },
        { kind: 'ack', handle: 7, opening: 1, seq: 2 },
      ];
      const server = await recordingServer(fixture, (peer) =>
        answer.forEach((item) => peer.send(item)),
      );
      await using _server = server.server;
      const client = recordingClient(fixture, server.server.endpoint);
      await using _client = client.client;
      await waitFor(() => client.client.isUp);
      client.client.send(line(1, 'one'));
      client.client.send(line(2, 'two'));
      await waitFor(() => client.heard.length > 0);
      expect(server.heard).toEqual([[line(1, 'one'), line(2, 'two')]]);
      expect(client.heard).toEqual([answer]);
    });

    test('flush() does not wait for the end of the turn', async () => {
      await using fixture = await start();
      const { server, heard } = await recordingServer(fixture);
      await using _server = server;
      const { client } = recordingClient(fixture, server.endpoint);
      await using _client = client;
      await waitFor(() => client.isUp);
      client.send(line(1, 'one'));
      client.flush();
      client.send(line(2, 'two'));
      await waitFor(() => heard.length === 2);
      expect(heard).toEqual([[line(1, 'one')], [line(2, 'two')]]);
    });

    test('heartbeats confirm what was sent and carry the load', async () => {
      await using fixture = await start();
      const { server, load } = await recordingServer(fixture);
      await using _server = server;
      load.load = 42;
      load.accepts = false;
      const { client, loads } = recordingClient(fixture, server.endpoint);
      await using _client = client;
      await waitFor(() => client.isUp);
      client.send(line(1, 'x'.repeat(1_000)));
      client.flush();
      expect(client.pendingBytes).toBeGreaterThan(1_000);
      await waitFor(() => client.pendingBytes === 0);
      expect(loads.at(-1)).toEqual({ load: 42, accepts: false });
    });

    test('a client that leaves ends its session at the server', async () => {
      await using fixture = await start();
      const { server, ended } = await recordingServer(fixture);
      await using _server = server;
      const client = recordingClient(fixture, server.endpoint);
      await waitFor(() => server.sessions.length === 1);
      await client.client[Symbol.asyncDispose]();
      expect(client.ended).toEqual(['closed']);
      await waitFor(() => ended.length > 0);
      expect(ended).toEqual(['socket-frontend-1 bye']);
      expect(server.sessions).toEqual([]);
    });

    test('a server that leaves ends its sessions at the clients', async () => {
      await using fixture = await start();
      const { server, ended } = await recordingServer(fixture);
      const client = recordingClient(fixture, server.endpoint);
      await using _client = client.client;
      await waitFor(() => client.client.isUp);
      await server[Symbol.asyncDispose]();
      expect(ended).toEqual(['socket-frontend-1 closed']);
      await waitFor(() => client.ended.length > 0);
      expect(client.ended).toHaveLength(1);
      expect(client.client.isUp).toBe(false);
    });

    test('either side ignores a session that it ended', async () => {
      await using fixture = await start();
      const peers: LinkPeer[] = [];
      const server = await recordingServer(fixture, (peer) => void peers.push(peer));
      await using _server = server.server;
      const client = recordingClient(fixture, server.server.endpoint);
      await using _client = client.client;
      await waitFor(() => client.client.isUp);
      client.client.send(line(1, 'one'));
      const peer = await waitFor(() => peers[0]);
      peer.end('test');
      peer.send({ kind: 'release', handle: 7, opening: 1 });
      client.client.send(line(2, 'two'));
      await waitFor(() => client.ended.length > 0);
      client.client.send(line(3, 'three'));
      const next = recordingClient(fixture, server.server.endpoint);
      await using _next = next.client;
      await waitFor(() => next.client.isUp);
      expect(server.heard).toEqual([[line(1, 'one')]]);
      expect(client.heard).toEqual([]);
      expect(peer.isUp).toBe(false);
    });

    test('a new session of a frontend ends its old one', async () => {
      await using fixture = await start();
      const { server, ended } = await recordingServer(fixture);
      await using _server = server;
      const old = recordingClient(fixture, server.endpoint);
      await using _old = old.client;
      await waitFor(() => old.client.isUp);
      const next = recordingClient(fixture, server.endpoint);
      await using _next = next.client;
      await waitFor(() => next.client.isUp && old.ended.length > 0);
      expect(ended).toEqual(['socket-frontend-1 superseded']);
      expect(old.ended).toEqual(['bye']);
      expect(server.sessions).toHaveLength(1);
    });

    test('another boot of the server is not the one that was meant', async () => {
      await using fixture = await start();
      const { server } = await recordingServer(fixture);
      await using _server = server;
      const client = recordingClient(fixture, server.endpoint, '00000000000000ab');
      await waitFor(() => client.ended.length > 0);
      expect(client.ended).toEqual(['new_boot']);
      await waitFor(() => server.sessions.length === 0);
    });

    test('a turn of more than a mebibyte arrives whole and in order', async () => {
      await using fixture = await start();
      const { server, heard } = await recordingServer(fixture);
      await using _server = server;
      const { client } = recordingClient(fixture, server.endpoint);
      await using _client = client;
      await waitFor(() => client.isUp);
      const lines = Array.from({ length: 400 }, (_, index) =>
        line(index + 1, 'x'.repeat(10_000), index >> 1),
      );
      for (const item of lines) client.send(item);
      await waitFor(() => heard.flat().length === lines.length);
      expect(heard.length).toBeGreaterThan(2);
      expect(heard.flat()).toEqual(lines);
      for (const items of heard) expect(items.length % 2, 'a connection is never cut').toBe(0);
    });
  });
}
