/** What only a bus between processes has: death, frozen peers, strangers, other secrets, other versions. */
import { networkInterfaces } from 'node:os';
import { Registry } from '@prometheus-io/client';
import { pino } from 'pino';
import { afterEach, assert, beforeEach, describe as suite, test } from 'vitest';
import { curveKeyPair, Dealer, Subscriber } from 'zeromq';
import { waitFor } from '#test/harness/wait-for.ts';
import type { BusPeer } from './bus.ts';
import { countIn, joinZeromq, SECRET, type ZeromqJoin } from './bus.fixture.ts';
import type { BusMember } from './bus-contract.ts';
import { type BusSelf, BEAT_MS } from './bus-core.ts';
import {
  type BusProcess,
  counted,
  hang,
  ping,
  startBusProcess,
  type Told,
} from './bus-process.fixture.ts';
import { curveClientOptions } from './curve.ts';
import { deriveMeshKeys } from './derive-mesh-keys.ts';
import { BusError } from './errors.ts';
import { encodeBody, encodeHeader, encodeReply, encodeRequest, type Frames } from './frame.ts';
import { ensureZap } from './zap.ts';

let owned: AsyncDisposableStack;
beforeEach(() => {
  owned = new AsyncDisposableStack();
});
afterEach(() => owned.disposeAsync());

let boots = 0;
function selfOf(role: BusSelf['role'], id: string): BusSelf {
  boots += 1;
  return { role, id, bootId: (0xb000 + boots).toString(16).padStart(16, '0') };
}

async function join(self: BusSelf, options?: ZeromqJoin): Promise<BusMember> {
  const member = await joinZeromq(self, options);
  owned.use(member.bus);
  return member;
}

async function startProcess(
  self: BusSelf,
  portRange?: readonly [number, number],
): Promise<BusProcess> {
  return owned.use(await startBusProcess(self, portRange));
}

function codeOf(call: Promise<unknown>): Promise<string> {
  return call.then(
    () => 'reply',
    (error: unknown) => (error instanceof BusError ? error.code : String(error)),
  );
}

const toJobmanager = { kind: 'any', role: 'jobmanager' } as const;

suite('a peer process', () => {
  async function withProcess() {
    const client = await join(selfOf('stratum-server', 's-1'));
    const child = await startProcess(selfOf('jobmanager', 'j-1'));
    client.bus.setPeers([child.peer]);
    child.order({ kind: 'set_peers', peers: [client.asPeer] });
    await client.bus.call(toJobmanager, ping, {});
    const lost: string[] = [];
    client.bus.onPeerLost(({ bootId }) => lost.push(bootId));
    return { client, child, lost };
  }

  test('that is killed fails the calls to it long before their timeout', async () => {
    const { client, child, lost } = await withProcess();
    const pending = codeOf(client.bus.call(toJobmanager, hang, {}, { timeoutMs: 3_600_000 }));
    await waitFor(() => client.count('seam_bus_calls_in_flight'));
    child.signal('SIGKILL');
    assert.equal(await pending, 'peer_lost');
    assert.deepEqual(lost, [child.peer.bootId]);
    assert.equal(await client.count('seam_bus_peers', { state: 'lost' }), 1);
  });

  test('that is frozen is lost by its missing heartbeats, and comes back when it thaws', async () => {
    const { client, child, lost } = await withProcess();
    const pending = codeOf(client.bus.call(toJobmanager, hang, {}, { timeoutMs: 3_600_000 }));
    child.signal('SIGSTOP');
    assert.equal(await pending, 'peer_lost');
    assert.equal(lost.length, 1);
    child.signal('SIGCONT');
    await waitFor(async () => (await codeOf(client.bus.call(toJobmanager, ping, {}))) === 'reply');
  });

  test('that is born again at the same port gets nothing meant for its former life', async () => {
    const { client, child } = await withProcess();
    const port = Number(child.peer.pubEndpoint.split(':').at(-1));
    const rpcPort = Number(child.peer.rpcEndpoint.split(':').at(-1));
    child.signal('SIGKILL');
    await child.exited;
    let heard = 0;
    client.bus.subscribe(counted, '', () => (heard += 1));
    const reborn = await startProcess(selfOf('jobmanager', 'j-1'), [port, rpcPort]);
    assert.equal(reborn.peer.rpcEndpoint, child.peer.rpcEndpoint);
    reborn.order({ kind: 'publish', count: 5, paddingBytes: 0 });
    await waitFor(() => client.count('seam_bus_foreign_total'), { what: 'the foreigner' });
    assert.equal(await codeOf(client.bus.call(toJobmanager, ping, {})), 'peer_lost');
    assert.equal(heard, 0);
    client.bus.setPeers([reborn.peer]);
    assert.equal(await codeOf(client.bus.call(toJobmanager, ping, {})), 'reply');
  });

  test('ends by itself once its bus is disposed, without a complaint', async () => {
    const { child } = await withProcess();
    child.order({ kind: 'dispose' });
    assert.deepEqual(await child.exited, { code: 0, stderr: '' });
  });
});

/** Each loss has been told between the messages around it; where nothing was lost nothing was told. */
function assertGapsTold(told: readonly Told[]): void {
  let last = 0;
  let gaps = 0;
  for (const one of told) {
    if (one === 'gap') {
      gaps += 1;
      continue;
    }
    if (one === last + 1) assert.equal(gaps, 0, `a gap was told before ${one}, nothing was lost`);
    else assert.isAtLeast(gaps, 1, `${last} to ${one} was not told`);
    assert.isAbove(one, last);
    [last, gaps] = [one, 0];
  }
}

suite('a subscriber that is slower than the publisher', () => {
  test('loses messages of its own, is told, and holds up nobody else', async () => {
    const publisher = await join(selfOf('jobmanager', 'j-1'));
    const frozen = await startProcess(selfOf('stratum-server', 's-1'));
    const lively = await join(selfOf('stratum-server', 's-2'));
    const told: Told[] = [];
    lively.bus.subscribe(
      counted,
      '',
      (_, { seq }) => told.push(seq),
      () => told.push('gap'),
    );
    frozen.order({ kind: 'set_peers', peers: [publisher.asPeer] });
    lively.bus.setPeers([publisher.asPeer]);
    const padding = 'x'.repeat(1_000);
    let n = 0;
    const publish = (count: number) => {
      for (let left = count; left > 0; left -= 1)
        publisher.bus.publish(counted, '', { n: (n += 1), padding });
    };
    await waitFor(async () => {
      publish(1);
      return told.length > 0 && (await frozen.told()).length > 0;
    });
    frozen.signal('SIGSTOP');
    for (let burst = 1; burst <= 40; burst += 1) {
      publish(1_000);
      await waitFor(() => told.at(-1) === n, { what: `burst ${burst} at the lively one` });
    }
    frozen.signal('SIGCONT');
    const seen = await waitFor(async () => {
      publish(1);
      const all = await frozen.told();
      return all.at(-1) === n && all;
    });
    assertGapsTold(told);
    assertGapsTold(seen || []);
    assert.include(seen || [], 'gap');
  });

  test('a burst beyond the publisher’s own line drops the oldest, counted and told', async () => {
    const publisher = await join(selfOf('jobmanager', 'j-1'));
    const hearer = await join(selfOf('stratum-server', 's-2'));
    const told: Told[] = [];
    hearer.bus.subscribe(
      counted,
      '',
      (_, { seq }) => told.push(seq),
      () => told.push('gap'),
    );
    hearer.bus.setPeers([publisher.asPeer]);
    await waitFor(() => {
      publisher.bus.publish(counted, '', { n: 0, padding: '' });
      return told.length > 0;
    });
    for (let n = 0; n < 12_000; n += 1) publisher.bus.publish(counted, '', { n, padding: '' });
    assert.isAtLeast(await publisher.count('seam_bus_dropped_total', { queue: 'pub' }), 1_900);
    await waitFor(() => {
      publisher.bus.publish(counted, '', { n: 0, padding: '' });
      return Number(told.at(-1)) > 12_000;
    });
    assertGapsTold(told);
    assert.include(told, 'gap');
  });
});

suite('a process that stops', () => {
  test('is heard to its last word', async () => {
    const hearer = await join(selfOf('stratum-server', 's-1'));
    for (let life = 1; life <= 5; life += 1) {
      const leaver = await join(selfOf('jobmanager', 'j-1'));
      hearer.bus.setPeers([leaver.asPeer]);
      const told: number[] = [];
      using _ = hearer.bus.subscribe(counted, 'bye', ({ n }) => told.push(n));
      await waitFor(() => {
        leaver.bus.publish(counted, 'bye', { n: 0, padding: '' });
        return told.length > 0;
      });
      const padding = 'x'.repeat(500);
      for (let n = 1; n < 2_000; n += 1) leaver.bus.publish(counted, 'bye', { n: -n, padding });
      leaver.bus.publish(counted, 'bye', { n: life, padding });
      await leaver.bus[Symbol.asyncDispose]();
      await waitFor(() => told.at(-1) === life, { what: `the last word of life ${life}` });
    }
  });
});

const hasIpv6 = Object.values(networkInterfaces()).some((all) =>
  all?.some(({ address }) => address === '::1'),
);
test('processes meet over IPv6', async (context) => {
  if (!hasIpv6) return context.skip('this machine has no IPv6 loopback');
  const server = await join(selfOf('jobmanager', 'j-1'), { address: '::1' });
  const client = await join(selfOf('stratum-server', 's-1'), { address: '::1' });
  server.bus.serve(ping, () => ({}));
  client.bus.setPeers([server.asPeer]);
  assert.match(server.asPeer.rpcEndpoint, /^tcp:\/\/\[::1\]:/);
  assert.equal(await codeOf(client.bus.call(toJobmanager, ping, {})), 'reply');
});

suite('a stranger', () => {
  test('without the secret hears nothing, calls nothing, and is counted', async () => {
    const server = await join(selfOf('jobmanager', 'j-1'));
    let calls = 0;
    server.bus.serve(ping, () => {
      calls += 1;
      return {};
    });
    const stranger = await join(selfOf('stratum-server', 's-1'), {
      meshKeys: deriveMeshKeys(['another secret altogether']),
    });
    // It lies about the key id, else it would not even try.
    const { serverKeyId } = stranger.asPeer;
    let heard = 0;
    stranger.bus.subscribe(
      counted,
      '',
      () => (heard += 1),
      () => (heard += 1),
    );
    stranger.bus.setPeers([{ ...server.asPeer, serverKeyId }]);
    const call = codeOf(stranger.bus.call(toJobmanager, ping, {}, { timeoutMs: 500 }));
    await waitFor(async () => {
      server.bus.publish(counted, '', { n: 1, padding: '' });
      return (await server.count('seam_bus_refused_total', { reason: 'handshake' })) >= 2;
    });
    assert.equal(await call, 'timeout');
    assert.deepEqual([calls, heard], [0, 0]);
  });

  test('that knows the server key but no client key is refused by ZAP and counted', async () => {
    const server = await join(selfOf('jobmanager', 'j-1'));
    const { publicKey, secretKey } = curveKeyPair();
    const { curveServerKey } = curveClientOptions(
      deriveMeshKeys([SECRET]),
      server.asPeer.serverKeyId,
    );
    const options = {
      curveServerKey,
      curvePublicKey: publicKey,
      curveSecretKey: secretKey,
      linger: 0,
    };
    const dealer = owned.adopt(new Dealer(options), (socket) => socket.close());
    const refused = new Promise((resolve) => dealer.events.on('handshake:error:auth', resolve));
    dealer.connect(server.asPeer.rpcEndpoint);
    await refused;
    assert.equal(await server.count('seam_bus_refused_total', { reason: 'unknown_key' }), 1);
  });

  test('without any encryption is refused and counted', async () => {
    const server = await join(selfOf('jobmanager', 'j-1'));
    const subscriber = owned.adopt(new Subscriber({ linger: 0 }), (socket) => socket.close());
    subscriber.subscribe();
    subscriber.connect(server.asPeer.pubEndpoint);
    await waitFor(() => server.count('seam_bus_refused_total', { reason: 'handshake' }));
  });
});

suite('rotating the secret', () => {
  const older = 'the secret of last year';
  const newer = 'the secret of this year';
  test('old and new processes talk in both directions', async () => {
    const old = await join(selfOf('jobmanager', 'j-1'), {
      meshKeys: deriveMeshKeys([older, newer]),
    });
    const fresh = await join(selfOf('jobmanager', 'j-2'), {
      meshKeys: deriveMeshKeys([newer, older]),
    });
    assert.notEqual(old.asPeer.serverKeyId, fresh.asPeer.serverKeyId);
    for (const { bus } of [old, fresh]) bus.serve(ping, () => ({}));
    old.bus.setPeers([fresh.asPeer]);
    fresh.bus.setPeers([old.asPeer]);
    assert.equal(await codeOf(old.bus.call(toJobmanager, ping, {})), 'reply');
    assert.equal(await codeOf(fresh.bus.call(toJobmanager, ping, {})), 'reply');
  });
  test('a process that was never told the new secret reaches old ones only', async () => {
    const fresh = await join(selfOf('jobmanager', 'j-1'), {
      meshKeys: deriveMeshKeys([newer, older]),
    });
    const old = await join(selfOf('jobmanager', 'j-2'), {
      meshKeys: deriveMeshKeys([older, newer]),
    });
    const uninformed = await join(selfOf('stratum-server', 's-1'), {
      meshKeys: deriveMeshKeys([older]),
    });
    for (const { bus } of [old, fresh]) bus.serve(ping, () => ({}));
    uninformed.bus.setPeers([fresh.asPeer, old.asPeer]);
    const to = (id: string) => ({ kind: 'instance', role: 'jobmanager', id }) as const;
    assert.equal(await codeOf(uninformed.bus.call(to('j-2'), ping, {})), 'reply');
    assert.equal(
      await codeOf(uninformed.bus.call(to('j-1'), ping, {}, { timeoutMs: 50 })),
      'timeout',
    );
  });
});

suite('wire versions and noise', () => {
  /** A caller that is no bus: it sends what it wants. */
  async function rawCaller(server: BusMember) {
    const keys = curveClientOptions(deriveMeshKeys([SECRET]), server.asPeer.serverKeyId);
    const dealer = owned.adopt(new Dealer({ ...keys, linger: 0 }), (socket) => socket.close());
    dealer.connect(server.asPeer.rpcEndpoint);
    return {
      send: (frames: Frames) => dealer.send([...frames]),
      receive: () => dealer.receive(),
    };
  }
  const header = {
    kind: 'request',
    bootId: 'feedfeedfeedfeed',
    sequence: 7,
    timeoutMs: 1_000,
  } as const;

  function ofVersion(version: number, frames: Frames, appended = new Uint8Array()): Frames {
    const [head = new Uint8Array(), ...rest] = frames;
    const patched = Buffer.concat([head, appended]);
    patched[2] = version;
    return [patched, ...rest];
  }

  test('of the next version are answered, of others counted and dropped', async () => {
    const server = await join(selfOf('jobmanager', 'j-1'));
    server.bus.serve(ping, () => ({}));
    const caller = await rawCaller(server);
    const request = encodeRequest(header, 'test.ping@1', encodeBody({}));
    await caller.send(ofVersion(9, request));
    await caller.send(ofVersion(2, request, Uint8Array.of(1, 2, 3)));
    const [head, body] = await caller.receive();
    assert.equal(Buffer.from(head ?? []).toString('hex', 0, 4), '534d0104');
    assert.equal(String(body), '{}');
    assert.equal(await server.count('seam_bus_malformed_total'), 1);
  });

  test('that are noise are counted, logged once per peer, and harm nobody', async () => {
    const lines: { msg: string; bootId: string }[] = [];
    const log = pino(
      { level: 'warn' },
      { write: (line: string) => void lines.push(JSON.parse(line)) },
    );
    const server = await join(selfOf('jobmanager', 'j-1'), { log });
    server.bus.serve(ping, () => ({}));
    const caller = await rawCaller(server);
    const boot = encodeHeader(header);
    const noise: Frames[] = [
      [new Uint8Array()],
      [boot],
      [boot, new Uint8Array(300), encodeBody({})],
      [boot, encodeBody('x'), encodeBody({}), ...Array.from({ length: 17 }, () => encodeBody(0))],
      encodeReply({ ...header, kind: 'reply' }, encodeBody({})),
      encodeReply({ ...header, kind: 'hello' }, encodeBody({ role: 'emperor', id: 'x' })),
    ];
    for (const frames of noise) await caller.send(frames);
    await caller.send(encodeRequest(header, 'test.ping@1', encodeBody({})));
    await caller.receive();
    assert.equal(
      await server.count('seam_bus_malformed_total', { subject: 'unknown' }),
      noise.length,
    );
    const warned = lines.filter(({ msg }) => msg === 'malformed bus message');
    assert.deepEqual(
      new Set(warned.map(({ bootId }) => bootId)),
      new Set(['unknown', 'feedfeedfeedfeed']),
    );
    assert.equal(warned.length, 2);
  });

  test('a frame above the limit costs its sender the connection', async () => {
    const server = await join(selfOf('jobmanager', 'j-1'));
    server.bus.serve(ping, () => ({}));
    const keys = curveClientOptions(deriveMeshKeys([SECRET]), server.asPeer.serverKeyId);
    const dealer = owned.adopt(new Dealer({ ...keys, linger: 0 }), (socket) => socket.close());
    const cut = new Promise((resolve) => dealer.events.on('disconnect', resolve));
    dealer.connect(server.asPeer.rpcEndpoint);
    await dealer.send([encodeHeader(header), new Uint8Array(17 * 1_024 * 1_024)]);
    await cut;
  });
});

suite('peers of the registry', () => {
  test('whose endpoints are nonsense harm nobody', async () => {
    const client = await join(selfOf('stratum-server', 's-1'));
    const peer: BusPeer = {
      ...selfOf('jobmanager', 'j-1'),
      isReady: true,
      pubEndpoint: 'not an endpoint',
      rpcEndpoint: 'tcp://127.0.0.1:99999999',
      serverKeyId: client.asPeer.serverKeyId,
    };
    client.bus.setPeers([peer]);
    assert.equal(
      await codeOf(client.bus.call(toJobmanager, ping, {}, { timeoutMs: 200 })),
      'timeout',
    );
  });

  test('that move to other endpoints are followed', async () => {
    const client = await join(selfOf('stratum-server', 's-1'));
    const server = await join(selfOf('jobmanager', 'j-1'));
    server.bus.serve(ping, () => ({}));
    client.bus.setPeers([{ ...server.asPeer, rpcEndpoint: 'tcp://127.0.0.1:1' }]);
    client.bus.setPeers([server.asPeer]);
    assert.equal(await codeOf(client.bus.call(toJobmanager, ping, {})), 'reply');
  });
});

suite('ensureZap()', () => {
  test('serves several users at once, and again after the last one left', async () => {
    const meshKeys = deriveMeshKeys([SECRET]);
    const sink = { log: pino({ level: 'silent' }), metrics: new Registry() };
    for (let round = 0; round < 3; round += 1) {
      const users = await Promise.all([ensureZap(meshKeys, sink), ensureZap(meshKeys, sink)]);
      const server = await joinZeromq(selfOf('jobmanager', 'j-1'));
      const client = await joinZeromq(selfOf('stratum-server', 's-1'));
      server.bus.serve(ping, () => ({}));
      client.bus.setPeers([server.asPeer]);
      for (const user of users) user[Symbol.dispose]();
      assert.equal(await codeOf(client.bus.call(toJobmanager, ping, {})), 'reply');
      await client.bus[Symbol.asyncDispose]();
      await server.bus[Symbol.asyncDispose]();
    }
    assert.equal(await countIn(sink.metrics)('seam_bus_refused_total'), 0);
  });
});

test('beats are as often as docs/bus.md says', () => {
  assert.equal(BEAT_MS, 250);
});
