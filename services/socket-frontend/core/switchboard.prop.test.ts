import fc from 'fast-check';
import { expect, test } from 'vitest';
import { answersOf, countUpTo, createWorld, LIMITS, type World } from './world.fixture.ts';

const MINERS = 3;
const KEYS = ['a', 'b', 'c'];

type Happening = readonly [what: string, which: number, size: number];
const happening: fc.Arbitrary<Happening> = fc.tuple(
  fc.constantFrom(
    'say',
    'say',
    'work',
    'work',
    'deliver',
    'deliver',
    'drain',
    'kill',
    'start',
    'move',
    'release',
    'cast',
    'clean',
    'tick',
    'even',
  ),
  fc.nat(11),
  fc.integer({ min: 1, max: 6 }),
);

function happen(world: World, [what, which, size]: Happening): void {
  const handle = (which % MINERS) + 1;
  const server = world.servers[which % KEYS.length];
  if (server === undefined) throw new Error('Cannot find the server');
  world.nowMs += 10;
  switch (what) {
    case 'say':
      return world.say(handle, size, size + (which % 5));
    case 'work':
      return server.work();
    case 'deliver':
      return world.deliver(server);
    case 'drain':
      return world.drain(handle);
    case 'kill':
      return world.kill(server);
    case 'start':
      return world.start(server);
    case 'move':
      return world.switchboard.take(handle, { kind: 'moved_away' }, world.nowMs);
    case 'release':
      return world.release(server, handle);
    case 'cast':
      return world.cast(server, 'refresh');
    case 'clean':
      return world.cast(server, 'all');
    case 'even':
      return world.switchboard.rebalance(world.nowMs);
    default:
      return void world.switchboard.tick(world.nowMs);
  }
}

/** What holds at every moment. */
function check(world: World): void {
  expect(world.problems).toEqual([]);
  for (const [handle, miner] of world.miners) {
    const answers = answersOf(miner);
    expect(answers, `answers of miner ${handle}`).toEqual(countUpTo(answers.length));
    const casts = [...miner.heard.matchAll(/^c(\d+)$/gm)].map(([, number]) => Number(number));
    expect(casts, 'casts in order').toEqual(casts.toSorted((a, b) => a - b));
    const connection = world.switchboard.connection(handle);
    expect(connection?.unacknowledged.length).toBeLessThanOrEqual(LIMITS.unacknowledgedLinesMax);
    expect(connection?.marks.length).toBeLessThanOrEqual(4);
  }
}

/**
 * Safety: whatever dies, moves or is slow, a miner hears its answers in order and each once. Liveness: once a server is
 * there, all of them.
 */
test('every line is answered exactly once and in order, whatever happens to the servers', () => {
  fc.assert(
    fc.property(fc.array(happening, { maxLength: 200, size: 'max' }), (happenings) => {
      const world = createWorld(KEYS);
      for (const server of world.servers) world.start(server);
      for (const handle of countUpTo(MINERS)) world.connect(handle);
      for (const one of happenings) {
        happen(world, one);
        check(world);
      }
      for (const server of world.servers) world.start(server);
      world.settle();
      check(world);
      for (const miner of world.miners.values())
        expect(answersOf(miner)).toEqual(countUpTo(miner.said));
    }),
    { numRuns: 300 },
  );
});
