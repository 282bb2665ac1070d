/** What every bus does: one suite, run over ZeroMQ and over memory (`bus.test.ts`). */
import { afterEach, assert, beforeEach, describe as suite, test } from 'vitest';
import { z } from 'zod';
import { defineRpc, defineTopic } from '#libs/contracts/define.ts';
import { waitFor } from '#test/harness/wait-for.ts';
import type { Bus, BusPeer, Origin } from './bus.ts';
import type { BusSelf } from './bus-core.ts';
import { BusError, type BusErrorCode } from './errors.ts';

/** One implementation under test. */
export interface BusRig extends AsyncDisposable {
  /** A new process. It knows nobody until `setPeers`. */
  join(self: BusSelf, options?: { readonly isReady?: boolean }): Promise<BusMember>;
}

export interface BusMember {
  readonly bus: Bus;
  readonly asPeer: BusPeer;
  /** Ends without a word. */
  kill(): Promise<void>;
  /** The value of a metric, summed over its labels. */
  count(metric: string, labels?: Readonly<Record<string, string>>): Promise<number>;
}

const note = defineTopic('test.noted', 1, z.object({ text: z.string(), n: z.int() }));
const probe = defineTopic('test.probed', 1, z.object({}));
const echo = defineRpc('test.echo', 1, {
  request: z.object({ text: z.string() }),
  reply: z.object({ text: z.string(), from: z.string() }),
});

let boots = 0;
function selfOf(role: BusSelf['role'], id: string): BusSelf {
  boots += 1;
  return { role, id, bootId: boots.toString(16).padStart(16, '0') };
}

/** Waits until what `hearer` subscribed to before is really heard from `publisher`. */
async function heard(hearer: Bus, publisher: Bus): Promise<void> {
  let isHeard = false;
  const key = `probe-${(boots += 1)}`;
  using _ = hearer.subscribe(probe, key, () => (isHeard = true));
  await waitFor(() => {
    publisher.publish(probe, key, {});
    return isHeard;
  });
}

/** A subscription and all it was told. */
function listen(bus: Bus, key: string) {
  const seen: { text: string; n: number; origin: Origin }[] = [];
  const gaps: Origin['peer'][] = [];
  const subscription = bus.subscribe(
    note,
    key,
    ({ text, n }, origin) => seen.push({ text, n, origin }),
    (peer) => gaps.push(peer),
  );
  return { seen, gaps, subscription, numbers: () => seen.map(({ n }) => n) };
}

async function failsWith(code: BusErrorCode, call: Promise<unknown>): Promise<BusError> {
  const error = await call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  assert.instanceOf(error, BusError, 'the call did not fail');
  assert.equal(error.code, code);
  return error;
}

function connect(...members: readonly BusMember[]): void {
  const peers = members.map(({ asPeer }) => asPeer);
  for (const { bus } of members) bus.setPeers(peers);
}

/** Messages repeated until `condition` holds: beats and joins take their time. */
export function describeBus(name: string, createRig: () => Promise<BusRig>): void {
  suite(`a bus (${name})`, () => {
    let rig: BusRig;
    beforeEach(async () => {
      rig = await createRig();
    });
    afterEach(() => rig[Symbol.asyncDispose]());

    async function pair() {
      const server = await rig.join(selfOf('jobmanager', 'jobmanager-1'));
      const client = await rig.join(selfOf('stratum-server', 'stratum-server-1'));
      connect(server, client);
      return { server, client };
    }

    suite('topics', () => {
      test('go to every subscriber of the key, in order, numbered from 1', async () => {
        const { server, client } = await pair();
        const one = listen(client.bus, 'ltc');
        const all = listen(client.bus, '');
        await heard(client.bus, server.bus);
        for (const n of [1, 2, 3]) server.bus.publish(note, 'ltc', { text: 'a', n });
        server.bus.publish(note, 'ltc2', { text: 'b', n: 4 });
        await waitFor(() => all.seen.length === 4);
        assert.deepEqual(one.numbers(), [1, 2, 3]);
        assert.deepEqual(
          one.seen.map(({ origin }) => origin.seq),
          [1, 2, 3],
        );
        assert.deepEqual(all.numbers(), [1, 2, 3, 4]);
        assert.equal(all.seen.at(-1)?.origin.seq, 1, 'each key has its own sequence');
        assert.equal(one.seen[0]?.origin.peer.bootId, server.asPeer.bootId);
        assert.equal(one.seen[0]?.origin.peer.id, 'jobmanager-1');
        assert.deepEqual([one.gaps, all.gaps], [[], []]);
      });

      test('carry attachments as raw bytes', async () => {
        const { server, client } = await pair();
        const { seen } = listen(client.bus, '');
        await heard(client.bus, server.bus);
        const attachments = [Uint8Array.of(0, 255), new Uint8Array(100_000).fill(7)];
        server.bus.publish(note, 'k', { text: '', n: 0 }, attachments);
        const message = await waitFor(() => seen[0]);
        assert.deepEqual(
          message.origin.attachments.map((bytes) => [...bytes]),
          attachments.map((bytes) => [...bytes]),
        );
      });

      test('tell a late joiner of a gap exactly once, and only for who has published', async () => {
        const { server, client } = await pair();
        const silent = await rig.join(selfOf('jobmanager', 'jobmanager-2'));
        for (const n of [1, 2]) server.bus.publish(note, 'ltc', { text: '', n });
        connect(server, silent, client);
        const late = listen(client.bus, 'ltc');
        await waitFor(() => late.gaps.length > 0);
        await heard(client.bus, silent.bus);
        server.bus.publish(note, 'ltc', { text: '', n: 3 });
        silent.bus.publish(note, 'ltc', { text: '', n: 4 });
        await waitFor(() => late.numbers().includes(3) && late.numbers().includes(4));
        assert.notInclude(late.numbers(), 1);
        assert.deepEqual(
          late.gaps.map(({ id }) => id),
          ['jobmanager-1'],
        );
      });

      test('tell each subscription its own gaps', async () => {
        const { server, client } = await pair();
        const early = listen(client.bus, '');
        await heard(client.bus, server.bus);
        server.bus.publish(note, 'ltc', { text: '', n: 1 });
        await waitFor(() => early.seen.length === 1);
        const late = listen(client.bus, 'ltc');
        await waitFor(() => late.gaps.length === 1);
        assert.deepEqual(early.gaps, []);
      });

      test('are heard no more after the subscription is disposed', async () => {
        const { server, client } = await pair();
        const gone = listen(client.bus, 'ltc');
        const stays = listen(client.bus, 'ltc');
        await heard(client.bus, server.bus);
        gone.subscription[Symbol.dispose]();
        gone.subscription[Symbol.dispose]();
        server.bus.publish(note, 'ltc', { text: '', n: 1 });
        await waitFor(() => stays.seen.length === 1);
        assert.deepEqual(gone.seen, []);
      });

      test('that do not match their schema are counted, dropped and told as a gap', async () => {
        const { server, client } = await pair();
        const { seen, gaps } = listen(client.bus, 'ltc');
        await heard(client.bus, server.bus);
        server.bus.publish(note, 'ltc', { text: '', n: 'one' as unknown as number });
        server.bus.publish(note, 'ltc', { text: '', n: 2 });
        await waitFor(() => seen.length === 1);
        assert.equal(seen[0]?.n, 2);
        assert.equal(gaps.length, 1);
        assert.equal(
          await client.count('seam_bus_malformed_total', { subject: 'test.noted@1' }),
          1,
        );
      });

      test('go on when a listener throws', async () => {
        const { server, client } = await pair();
        client.bus.subscribe(note, '', () => {
          throw new Error('a listener of the test');
        });
        const { seen } = listen(client.bus, '');
        await heard(client.bus, server.bus);
        for (const n of [1, 2]) server.bus.publish(note, '', { text: '', n });
        await waitFor(() => seen.length === 2);
        assert.equal(await client.count('seam_bus_handler_errors_total'), 2);
      });

      test('are heard from a publisher born again, whose sequence begins anew', async () => {
        const { server, client } = await pair();
        const { seen, gaps } = listen(client.bus, 'ltc');
        await heard(client.bus, server.bus);
        server.bus.publish(note, 'ltc', { text: 'first life', n: 1 });
        await waitFor(() => seen.length === 1);
        await server.kill();
        const reborn = await rig.join(selfOf('jobmanager', 'jobmanager-1'));
        client.bus.setPeers([reborn.asPeer]);
        await heard(client.bus, reborn.bus);
        reborn.bus.publish(note, 'ltc', { text: 'second life', n: 2 });
        await waitFor(() => seen.length === 2);
        assert.equal(seen[1]?.origin.seq, 1);
        assert.equal(seen[1]?.origin.peer.bootId, reborn.asPeer.bootId);
        assert.deepEqual(gaps, []);
      });

      test('are heard no more from who is not a peer any longer', async () => {
        const { server, client } = await pair();
        const other = await rig.join(selfOf('jobmanager', 'jobmanager-2'));
        const { seen } = listen(client.bus, '');
        connect(server, client, other);
        await heard(client.bus, server.bus);
        client.bus.setPeers([other.asPeer]);
        await heard(client.bus, other.bus);
        server.bus.publish(note, '', { text: 'gone', n: 1 });
        other.bus.publish(note, '', { text: 'here', n: 2 });
        await waitFor(() => seen.length > 0);
        assert.deepEqual(
          seen.map(({ text }) => text),
          ['here'],
        );
      });
    });

    suite('calls', () => {
      const anyJobmanager = { kind: 'any', role: 'jobmanager' } as const;

      test('bring the reply, and the caller and attachments to the handler', async () => {
        const { server, client } = await pair();
        let origin: Origin | undefined;
        server.bus.serve(echo, ({ text }, from) => {
          origin = from;
          return { text, from: 'server' };
        });
        const attachments = [Uint8Array.of(1, 2, 3)];
        const reply = await client.bus.call(
          anyJobmanager,
          echo,
          { text: 'häl\0o' },
          { attachments },
        );
        assert.deepEqual(reply, { text: 'häl\0o', from: 'server' });
        assert.deepInclude(origin?.peer, { role: 'stratum-server', id: 'stratum-server-1' });
        assert.deepEqual([...(origin?.attachments[0] ?? [])], [1, 2, 3]);
      });

      test('name a caller that the callee does not know yet', async () => {
        const server = await rig.join(selfOf('jobmanager', 'jobmanager-1'));
        const client = await rig.join(selfOf('reporter', 'newborn'));
        client.bus.setPeers([server.asPeer]);
        server.bus.serve(echo, (_, { peer }) => ({ text: '', from: `${peer.role}/${peer.id}` }));
        const reply = await client.bus.call(anyJobmanager, echo, { text: '' });
        assert.equal(reply.from, 'reporter/newborn');
      });

      test('to any go to a ready one in turn, to an instance to that one', async () => {
        const { server, client } = await pair();
        const second = await rig.join(selfOf('jobmanager', 'jobmanager-2'));
        const starting = await rig.join(selfOf('jobmanager', 'jobmanager-3'), { isReady: false });
        const all = [server, second, starting];
        connect(...all, client);
        for (const { bus, asPeer } of all)
          bus.serve(echo, ({ text }) => ({ text, from: asPeer.id }));
        const fromEach = (await client.bus.callAll('jobmanager', echo, { text: '' })).map(
          ({ peer }) => peer.id,
        );
        assert.deepEqual(fromEach.toSorted(), ['jobmanager-1', 'jobmanager-2']);
        const chosen = new Set<string>();
        for (let n = 0; n < 4; n += 1)
          chosen.add((await client.bus.call(anyJobmanager, echo, { text: '' })).from);
        assert.deepEqual([...chosen].toSorted(), ['jobmanager-1', 'jobmanager-2']);
        const where = ({ id }: BusPeer) => id === 'jobmanager-2';
        assert.equal(
          (await client.bus.call({ ...anyJobmanager, where }, echo, { text: '' })).from,
          'jobmanager-2',
        );
        const third = { kind: 'instance', role: 'jobmanager', id: 'jobmanager-3' } as const;
        assert.equal((await client.bus.call(third, echo, { text: '' })).from, 'jobmanager-3');
      });

      test('to all give an error in the place of who fails', async () => {
        const { server, client } = await pair();
        const failing = await rig.join(selfOf('jobmanager', 'jobmanager-2'));
        connect(server, failing, client);
        server.bus.serve(echo, ({ text }) => ({ text, from: 'ok' }));
        failing.bus.serve(echo, () => {
          throw new Error('no luck');
        });
        const results = await client.bus.callAll('jobmanager', echo, { text: '' });
        const statuses = Object.fromEntries(
          results.map(({ peer, result }) => [peer.id, result.status]),
        );
        assert.deepEqual(statuses, { 'jobmanager-1': 'fulfilled', 'jobmanager-2': 'rejected' });
      });

      test('fail as no_responder without a peer, or where it is not served', async () => {
        const { client } = await pair();
        await failsWith(
          'no_responder',
          client.bus.call({ kind: 'any', role: 'reporter' }, echo, { text: '' }),
        );
        await failsWith('no_responder', client.bus.call(anyJobmanager, echo, { text: '' }));
      });

      test('fail as remote with the message the handler threw', async () => {
        const { server, client } = await pair();
        server.bus.serve(echo, async () => {
          await Promise.resolve();
          throw new Error('the node is on fire');
        });
        const failure = client.bus.call(anyJobmanager, echo, { text: '' });
        assert.match((await failsWith('remote', failure)).message, /the node is on fire/);
      });

      test('fail as malformed if request or reply do not match, and both sides live on', async () => {
        const { server, client } = await pair();
        let reply: unknown = { text: '', from: '' };
        server.bus.serve(echo, () => reply as { text: string; from: string });
        await failsWith(
          'malformed',
          client.bus.call(anyJobmanager, echo, { text: 5 as unknown as string }),
        );
        assert.equal(await server.count('seam_bus_malformed_total', { subject: 'test.echo@1' }), 1);
        reply = { text: 1 };
        await failsWith('malformed', client.bus.call(anyJobmanager, echo, { text: '' }));
        assert.equal(await client.count('seam_bus_malformed_total', { subject: 'test.echo@1' }), 1);
        reply = { text: 'fine', from: '' };
        assert.equal((await client.bus.call(anyJobmanager, echo, { text: '' })).text, 'fine');
      });

      test('fail as timeout, and a late reply is ignored', async () => {
        const { server, client } = await pair();
        const { promise: gate, resolve: open } = Promise.withResolvers<void>();
        server.bus.serve(echo, async ({ text }) => {
          if (text === 'slow') await gate;
          return { text, from: '' };
        });
        await client.bus.call(anyJobmanager, echo, { text: 'warm' });
        await failsWith(
          'timeout',
          client.bus.call(anyJobmanager, echo, { text: 'slow' }, { timeoutMs: 30 }),
        );
        open();
        assert.equal((await client.bus.call(anyJobmanager, echo, { text: 'next' })).text, 'next');
      });

      test('fail as aborted when the signal says so, before or during', async () => {
        const { server, client } = await pair();
        server.bus.serve(echo, () => new Promise(() => undefined));
        await failsWith(
          'aborted',
          client.bus.call(anyJobmanager, echo, { text: '' }, { signal: AbortSignal.abort() }),
        );
        const controller = new AbortController();
        const pending = client.bus.call(
          anyJobmanager,
          echo,
          { text: '' },
          { signal: controller.signal },
        );
        await waitFor(() => server.count('seam_bus_serving_in_flight'));
        controller.abort();
        await failsWith('aborted', pending);
      });

      test('fail as overloaded beyond the calls in flight to one peer', async () => {
        const { server, client } = await pair();
        server.bus.serve(echo, () => new Promise(() => undefined));
        const pending = Array.from({ length: 256 }, () =>
          client.bus.call(anyJobmanager, echo, { text: '' }),
        );
        const settled = Promise.allSettled(pending);
        await failsWith('overloaded', client.bus.call(anyJobmanager, echo, { text: '' }));
        await client.bus[Symbol.asyncDispose]();
        const outcomes = (await settled).map(({ status }) => status);
        assert.deepEqual(new Set(outcomes), new Set(['rejected']));
      });

      test('made before the connection is up are sent when it is', async () => {
        const { server, client } = await pair();
        server.bus.serve(echo, ({ text }) => ({ text, from: '' }));
        const texts = ['1', '2', '3'];
        const replies = await Promise.all(
          texts.map((text) => client.bus.call(anyJobmanager, echo, { text })),
        );
        assert.deepEqual(
          replies.map(({ text }) => text),
          texts,
        );
      });
    });

    suite('peers', () => {
      test('that die fail their pending calls at once, and are told once', async () => {
        const { server, client } = await pair();
        server.bus.serve(echo, () => new Promise(() => undefined));
        const lost: string[] = [];
        client.bus.onPeerLost(({ bootId }) => lost.push(bootId));
        const target = { kind: 'instance', role: 'jobmanager', id: 'jobmanager-1' } as const;
        const pending = client.bus.call(target, echo, { text: '' }, { timeoutMs: 3_600_000 });
        const failure = failsWith('peer_lost', pending);
        await waitFor(() => server.count('seam_bus_serving_in_flight'));
        await server.kill();
        await failure;
        await failsWith('peer_lost', client.bus.call(target, echo, { text: '' }));
        assert.deepEqual(lost, [server.asPeer.bootId]);
      });

      test('are those of setPeers, without ourselves', async () => {
        const { server, client } = await pair();
        assert.deepEqual(client.bus.peers, [server.asPeer]);
        client.bus.setPeers([{ ...server.asPeer, isReady: false }, client.asPeer]);
        assert.deepEqual(
          client.bus.peers.map(({ id, isReady }) => [id, isReady]),
          [['jobmanager-1', false]],
        );
        await failsWith(
          'no_responder',
          client.bus.call({ kind: 'any', role: 'jobmanager' }, echo, { text: '' }),
        );
        client.bus.setPeers([]);
        assert.deepEqual(client.bus.peers, []);
      });

      test('that are taken away fail their pending calls, without being told as lost', async () => {
        const { server, client } = await pair();
        server.bus.serve(echo, () => new Promise(() => undefined));
        let lost = 0;
        client.bus.onPeerLost(() => (lost += 1));
        const failure = failsWith(
          'peer_lost',
          client.bus.call({ kind: 'any', role: 'jobmanager' }, echo, { text: '' }),
        );
        await waitFor(() => server.count('seam_bus_serving_in_flight'));
        client.bus.setPeers([]);
        await failure;
        assert.equal(lost, 0);
      });
    });

    test('ends what is pending when it is disposed, twice without harm', async () => {
      const { server, client } = await pair();
      server.bus.serve(echo, () => new Promise(() => undefined));
      const failure = failsWith(
        'aborted',
        client.bus.call({ kind: 'any', role: 'jobmanager' }, echo, { text: '' }),
      );
      await client.bus[Symbol.asyncDispose]();
      await failure;
      await client.bus[Symbol.asyncDispose]();
      client.bus.publish(note, '', { text: '', n: 1 });
      client.bus.setPeers([server.asPeer]);
      await failsWith(
        'aborted',
        client.bus.call({ kind: 'any', role: 'jobmanager' }, echo, { text: '' }),
      );
    });
  });
}
