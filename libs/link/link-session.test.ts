import fc from 'fast-check';
import { expect, suite, test } from 'vitest';
import type { LinkMessage } from './items.ts';
import {
  greet,
  type Next,
  type Session,
  type SessionEvent,
  step,
  welcome,
} from './link-session.ts';
import { HEARTBEAT_MS, SILENCE_MS } from './limits.ts';

const FRONTEND = { id: 'socket-frontend-1', bootId: '00000000000000bb' };
const SERVER = { id: 'stratum-server-1', bootId: '00000000000000aa' };
const VERSIONS = [1];

function sentIn([, effects]: Next): readonly LinkMessage[] {
  return effects.flatMap((effect) => (effect.kind === 'send' ? [effect.message] : []));
}

function endIn([, effects]: Next) {
  return effects.find((effect) => effect.kind === 'ended');
}

/** A client and a server that are both up at `nowMs`. */
function pair(nowMs = 0): { client: Session; server: Session } {
  const greeting = greet(9n, FRONTEND, SERVER, VERSIONS, nowMs);
  const [hello] = sentIn(greeting);
  if (hello?.kind !== 'hello') throw new Error('Cannot greet');
  const welcoming = welcome(hello, SERVER, VERSIONS, nowMs);
  const [message] = sentIn(welcoming);
  if (message === undefined) throw new Error('Cannot welcome');
  return {
    client: step(greeting[0], { kind: 'received', message, nowMs })[0],
    server: welcoming[0],
  };
}

const tick = (nowMs: number): SessionEvent<never> => ({
  kind: 'tick',
  load: 1,
  accepts: true,
  nowMs,
});
const received = (message: LinkMessage, nowMs = 0): SessionEvent<never> => ({
  kind: 'received',
  message,
  nowMs,
});
const up = (counter: number, session = 9n): LinkMessage => ({
  kind: 'up',
  session,
  counter,
  items: [],
});
const beat = (sent: number, confirmed: number): LinkMessage => ({
  kind: 'heartbeat',
  session: 9n,
  sent,
  received: confirmed,
  load: 0,
  accepts: false,
});

suite('greeting', () => {
  test('brings both sides up', () => {
    const { client, server } = pair();
    expect([client.phase, server.phase]).toEqual(['up', 'up']);
    expect(server.peer).toEqual(FRONTEND);
  });

  test('ends without a common version', () => {
    const hello = sentIn(greet(9n, FRONTEND, SERVER, [7], 0))[0] as Extract<
      LinkMessage,
      { kind: 'hello' }
    >;
    expect(endIn(welcome(hello, SERVER, VERSIONS, 0))).toMatchObject({
      reason: 'no_common_version',
    });
  });

  test('ends when another boot or another server answers', () => {
    const [session] = greet(9n, FRONTEND, SERVER, VERSIONS, 0);
    const answer = {
      kind: 'welcome',
      session: 9n,
      serverId: SERVER.id,
      bootId: 0xabn,
      version: 1,
    } as const;
    expect(endIn(step(session, received(answer)))).toMatchObject({ reason: 'new_boot' });
    const other = { ...answer, bootId: 0xaan, serverId: 'stratum-server-2' };
    expect(endIn(step(session, received(other)))).toMatchObject({ reason: 'new_boot' });
  });

  test('ends without an answer', () => {
    let [session] = greet(9n, FRONTEND, SERVER, VERSIONS, 0);
    for (let nowMs = HEARTBEAT_MS; nowMs <= SILENCE_MS; nowMs += HEARTBEAT_MS)
      [session] = step(session, tick(nowMs));
    expect(session.phase).toBe('greeting');
    expect(endIn(step(session, tick(SILENCE_MS + HEARTBEAT_MS)))).toMatchObject({
      reason: 'no_welcome',
    });
  });
});

suite('a session that is up', () => {
  test('numbers what it sends from 1', () => {
    const first = step(pair().client, { kind: 'queued', items: [], nowMs: 0 });
    const second = step(first[0], { kind: 'queued', items: [], nowMs: 0 });
    expect([...sentIn(first), ...sentIn(second)]).toEqual([up(1), up(2)]);
  });

  test.each([
    ['a message left out', [up(2)]],
    ['a message twice', [up(1), up(1)]],
    ['a heartbeat that counts more than arrived', [up(1), beat(2, 0)]],
    ['a heartbeat that counts less than arrived', [up(1), beat(0, 0)]],
    ['a heartbeat that confirms what was never sent', [beat(0, 1)]],
  ])('ends by %s', (_what, messages) => {
    let next: Next = [pair().server, []];
    for (const message of messages) next = step(next[0], received(message));
    expect(endIn(next)).toMatchObject({ reason: 'counter_difference' });
    expect(sentIn(next)).toMatchObject([{ kind: 'bye' }]);
  });

  test('skips messages of another session', () => {
    const { server } = pair();
    expect(step(server, received(up(5, 8n)))).toEqual([server, []]);
  });

  test('refuses items in the wrong direction', () => {
    expect(endIn(step(pair().client, received(up(1))))).toMatchObject({ reason: 'malformed' });
  });

  test('lives while it is heard, and ends a second after it was heard last', () => {
    let { server } = pair();
    for (let nowMs = HEARTBEAT_MS; nowMs <= 10_000; nowMs += HEARTBEAT_MS) {
      [server] = step(server, received(beat(0, 0), nowMs));
      [server] = step(server, tick(nowMs));
    }
    expect(server.phase).toBe('up');
    for (let nowMs = 10_000 + HEARTBEAT_MS; nowMs <= 11_000; nowMs += HEARTBEAT_MS)
      [server] = step(server, tick(nowMs));
    expect(server.phase).toBe('up');
    expect(endIn(step(server, tick(11_000 + HEARTBEAT_MS)))).toMatchObject({ reason: 'silence' });
  });

  test('reads what waits before it calls a late tick silence', () => {
    const late = step(pair().server, tick(SILENCE_MS - 10));
    expect(late[0].phase).toBe('up');
    const next = step(late[0], tick(SILENCE_MS + 50));
    expect(endIn(next)).toMatchObject({ reason: 'silence' });
    const [heard] = step(late[0], received(beat(0, 0), SILENCE_MS));
    expect(step(heard, tick(SILENCE_MS + 50))[0].phase).toBe('up');
  });

  test('that hung longer than its peer waits ends itself before it hears or says anything', () => {
    const wakeMs = SILENCE_MS + 1;
    const events: SessionEvent<never>[] = [
      received(up(1), wakeMs),
      { kind: 'queued', items: [], nowMs: wakeMs },
      tick(wakeMs),
    ];
    for (const event of events) {
      const next = step(pair().server, event);
      expect(next[1].map(({ kind }) => kind)).toEqual(['send', 'ended']);
      expect(endIn(next)).toMatchObject({ reason: 'own_pause' });
    }
  });

  test('ends by a bye without answering it', () => {
    const next = step(pair().server, received({ kind: 'bye', session: 9n, reason: 'closed' }));
    expect(next[1]).toEqual([{ kind: 'ended', reason: 'bye', detail: 'closed' }]);
  });
});

test('an ended session does nothing, whatever comes, and it ends once', () => {
  const event: fc.Arbitrary<SessionEvent<never>> = fc.oneof(
    fc.nat(3).map((counter) => received(up(counter), 1)),
    fc.nat(3).map((counter) => received(beat(counter, counter), 1)),
    fc.nat(3_000).map(tick),
    fc.constant({ kind: 'queued' as const, items: [], nowMs: 1 }),
    fc.constant({ kind: 'end' as const, reason: 'closed' as const, detail: '' }),
  );
  fc.assert(
    fc.property(fc.array(event, { maxLength: 30 }), (events) => {
      let { server } = pair();
      let ends = 0;
      for (const one of events) {
        const wasEnded = server.phase === 'ended';
        const [next, effects] = step(server, one);
        if (wasEnded) expect(effects).toEqual([]);
        ends += effects.filter(({ kind }) => kind === 'ended').length;
        server = next;
      }
      expect(ends).toBe(server.phase === 'ended' ? 1 : 0);
    }),
  );
});

test('two sessions over a wire that loses nothing agree for ever; one that loses a message ends', () => {
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom('client', 'server', 'beat'), { minLength: 1, maxLength: 40 }),
      fc.nat(60),
      (turns, lost) => {
        let { client, server } = pair();
        let crossed = 0;
        let wasLost = false;
        const cross = (messages: readonly LinkMessage[], to: Session): Session => {
          let session = to;
          for (const message of messages) {
            const isLost =
              message.kind !== 'heartbeat' && message.kind !== 'bye' && crossed === lost;
            crossed += message.kind === 'heartbeat' ? 0 : 1;
            if (isLost) wasLost = true;
            else [session] = step(session, received(message));
          }
          return session;
        };
        for (const turn of [...turns, 'beat']) {
          if (turn === 'client' || turn === 'beat') {
            const next = step(
              client,
              turn === 'beat' ? tick(0) : { kind: 'queued', items: [], nowMs: 0 },
            );
            client = next[0];
            server = cross(sentIn(next), server);
          }
          if (turn === 'server' || turn === 'beat') {
            const next = step(
              server,
              turn === 'beat' ? tick(0) : { kind: 'queued', items: [], nowMs: 0 },
            );
            server = next[0];
            client = cross(sentIn(next), client);
          }
        }
        expect(client.phase === 'up' && server.phase === 'up').toBe(!wasLost);
      },
    ),
  );
});
