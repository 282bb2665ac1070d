import { expect, suite, test } from 'vitest';
import type { ConnectionItem, Effect } from './model.ts';
import { createConnection, step } from './connection.ts';
import { type ConnectionLimits, holdMsOf } from './limits.ts';
import { factsOf, LIMITS } from './world.fixture.ts';

/** A connection with short ways to make things happen to it. */
function connect(limits: ConnectionLimits = LIMITS) {
  const connection = createConnection(factsOf(7), limits);
  const around = { limits, nowMs: 0, pressed: false, isPressed: () => around.pressed };
  const take = (event: Parameters<typeof step>[1]) => step(connection, event, around);
  const ref = () => ({ handle: 7, opening: connection.opening });
  return {
    connection,
    around,
    take,
    say: (text: string) => take({ kind: 'bytes', bytes: Buffer.from(text) }),
    place: (server = 'a') => take({ kind: 'placed', server }),
    item: (item: Partial<ConnectionItem> & { kind: ConnectionItem['kind'] }, server = 'a') =>
      take({ kind: 'item', server, item: { ...ref(), ...item } as ConnectionItem }),
    tick: (nowMs: number) => {
      around.nowMs = nowMs;
      return take({ kind: 'tick' });
    },
  };
}

const kinds = (effects: readonly Effect[]) =>
  effects.map((effect) => (effect.kind === 'send' ? effect.item.kind : effect.kind));
const sent = (effects: readonly Effect[]) =>
  effects.flatMap((effect) => (effect.kind === 'send' ? [effect.item] : []));
const NO_MARK = new Uint8Array(0);
const write = (text: string, mark = '') =>
  ({ kind: 'write', bytes: Buffer.from(text), mark: Buffer.from(mark) }) as const;

suite('a new connection', () => {
  test('is no server’s before its first line, then opens with it', () => {
    const miner = connect();
    expect(miner.say('hal')).toEqual([]);
    expect(kinds(miner.say('lo\nyou\n'))).toEqual(['place', 'count']);
    const items = sent(miner.place());
    expect(items.map(({ kind }) => kind)).toEqual(['open', 'line', 'line']);
    expect(items[0]).toMatchObject({
      conn: 'conn-7',
      opening: 1,
      nextSeq: 1,
      capsule: NO_MARK,
      marks: [],
    });
    expect(items[1]).toMatchObject({ seq: 1, opening: 1, ageMs: 0, bytes: Buffer.from('hallo') });
  });

  test('without a line is closed in the end', () => {
    const miner = connect();
    expect(miner.tick(LIMITS.firstLineMs)).toEqual([]);
    expect(kinds(miner.tick(LIMITS.firstLineMs + 1))).toContain('fin');
    expect(kinds(miner.take({ kind: 'socket_closed', reason: 'peer' }))).toEqual(['closed']);
    expect(miner.connection.phase).toBe('closed');
  });

  test('with a line too long is closed, and its server told', () => {
    const miner = connect();
    miner.say('hello\n');
    miner.place();
    const effects = miner.say('x'.repeat(LIMITS.lineBytesMax + 1));
    expect(sent(effects)).toEqual([
      { kind: 'close', handle: 7, opening: 1, reason: 'line_too_long' },
    ]);
    expect(kinds(effects)).toEqual(['close', 'left', 'closed', 'destroy']);
  });
});

suite('bounds of input', () => {
  test('reading stops at the bound of lines and goes on with acknowledgements', () => {
    const miner = connect();
    miner.say('1\n');
    miner.place();
    const effects = miner.say('2\n3\n4\n5\n6\n');
    expect(sent(effects)).toHaveLength(3);
    expect(effects.at(-1)).toEqual({ kind: 'read', on: false });
    const more = miner.item({ kind: 'ack', seq: 2 });
    expect(sent(more).map((item) => 'seq' in item && item.seq)).toEqual([5, 6]);
    expect(more.some(({ kind }) => kind === 'read')).toBe(false); // Four wait again.
    expect(miner.item({ kind: 'ack', seq: 6 })).toEqual([{ kind: 'read', on: true }]);
  });

  test('reading stops at the bound of bytes, but one line is let through', () => {
    const miner = connect({ ...LIMITS, unacknowledgedBytesMax: 10 });
    miner.say('1\n');
    miner.place();
    expect(sent(miner.say(`${'x'.repeat(50)}\n2\n`))).toHaveLength(1);
    expect(miner.connection.isReading).toBe(false);
    expect(sent(miner.item({ kind: 'ack', seq: 2 }))).toHaveLength(1);
  });

  test('reading stops while a server is behind, and a tick looks again', () => {
    const miner = connect();
    miner.say('1\n');
    miner.place();
    miner.around.pressed = true;
    expect(miner.say('2\n')).toEqual([{ kind: 'read', on: false }]);
    miner.around.pressed = false;
    expect(kinds(miner.tick(250))).toEqual(['line', 'count', 'read']);
  });

  test('lines are taken at a rate', () => {
    const miner = connect({ ...LIMITS, unacknowledgedLinesMax: 100, linesPerSec: 4, lineBurst: 2 });
    miner.say('1\n');
    miner.place();
    expect(sent(miner.say('2\n3\n4\n'))).toHaveLength(1);
    expect(sent(miner.tick(250))).toHaveLength(1);
    expect(sent(miner.tick(500))).toHaveLength(1);
    expect(miner.connection.isReading).toBe(false); // The next quarter of a second is not there yet.
    expect(kinds(miner.tick(750))).toEqual(['read']);
  });
});

suite('moving', () => {
  test('opens elsewhere with capsule and marks, and sends again what was not acknowledged', () => {
    const miner = connect();
    miner.say('1\n2\n3\n');
    miner.place('a');
    miner.item({ kind: 'capsule', change: 'set', bytes: Buffer.from('cap') });
    miner.item({ kind: 'capsule', change: 'append', bytes: Buffer.from('sule') });
    miner.item({ kind: 'join', group: 3 });
    for (const mark of ['m1', 'm2', 'm3', 'm4', 'm5']) {
      miner.item(write('x\n', mark));
      miner.take({ kind: 'flush' });
      miner.take({ kind: 'written' });
    }
    miner.item(write('late\n', 'never written'));
    miner.item({ kind: 'ack', seq: 1 });
    miner.around.nowMs = 120;
    expect(miner.take({ kind: 'unplaced' })).toEqual([
      { kind: 'leave', server: 'a', group: 3 },
      { kind: 'left', server: 'a' },
      { kind: 'place', avoid: undefined },
    ]);
    const effects = miner.place('b');
    expect(sent(effects)).toMatchObject([
      {
        kind: 'open',
        opening: 2,
        nextSeq: 2,
        ageMs: 120,
        capsule: Uint8Array.from(Buffer.from('capsule')),
      },
      { kind: 'line', opening: 2, seq: 2, ageMs: 120 },
      { kind: 'line', opening: 2, seq: 3, ageMs: 120 },
    ]);
    const [open] = sent(effects);
    expect(open?.kind === 'open' && open.marks.map(String)).toEqual(
      ['m2', 'm3', 'm4', 'm5'].map((mark) => String(new Uint8Array(Buffer.from(mark)))),
    );
    expect(effects.at(-1)).toEqual({ kind: 'count', what: 'resent_lines', by: 2 });
  });

  test('skips items of an older opening and of another server', () => {
    const miner = connect();
    miner.say('1\n');
    miner.place('a');
    miner.take({ kind: 'unplaced' });
    miner.place('a');
    const stale = [{ kind: 'count', what: 'stale_items', by: 1 }];
    expect(miner.item({ kind: 'ack', seq: 1, opening: 1 })).toEqual(stale);
    expect(miner.item({ kind: 'ack', seq: 1 }, 'b')).toEqual(stale);
    expect(miner.connection.unacknowledged).toHaveLength(1);
  });

  test('a released connection goes to another server, one moved away says so first', () => {
    const miner = connect();
    miner.say('1\n');
    miner.place('a');
    expect(miner.item({ kind: 'release' })).toEqual([
      { kind: 'left', server: 'a' },
      { kind: 'place', avoid: 'a' },
    ]);
    miner.place('b');
    const effects = miner.take({ kind: 'moved_away' });
    expect(sent(effects)).toEqual([{ kind: 'close', handle: 7, opening: 2, reason: 'moved' }]);
    expect(kinds(effects)).toEqual(['close', 'left', 'place']);
  });

  test('a connection without a server is held, then closed, each at its own time', () => {
    const miner = connect();
    miner.say('1\n');
    const endMs = holdMsOf(7, LIMITS);
    expect(endMs).toBeGreaterThan(LIMITS.holdMs);
    expect(endMs).toBeLessThan(LIMITS.holdMs + LIMITS.holdSpreadMs);
    expect(miner.tick(Math.floor(endMs))).toEqual([]);
    expect(kinds(miner.tick(endMs + 1))).toContain('fin');
    expect(kinds(miner.tick(endMs + 2 + LIMITS.closeMs))).toEqual(['closed', 'destroy']);
    expect(miner.connection.closeReason).toBe('no_server');
  });
});

suite('output', () => {
  test('is written as one piece, one write at a time', () => {
    const miner = connect();
    miner.say('1\n');
    miner.place();
    miner.item(write('a'));
    miner.item(write('b'));
    expect(miner.take({ kind: 'flush' })).toEqual([{ kind: 'write', bytes: Buffer.from('ab') }]);
    miner.item(write('c'));
    expect(miner.take({ kind: 'flush' })).toEqual([]);
    expect(miner.take({ kind: 'written' })).toEqual([{ kind: 'write', bytes: Buffer.from('c') }]);
    expect(miner.take({ kind: 'written' })).toEqual([]);
  });

  test('a miner too far behind is closed at once', () => {
    const miner = connect({ ...LIMITS, outBytesMax: 100 });
    miner.say('1\n');
    miner.place();
    miner.item(write('x'.repeat(90)));
    miner.take({ kind: 'flush' });
    expect(miner.item(write('y'.repeat(10)))).toEqual([]);
    expect(kinds(miner.item(write('z')))).toEqual(['close', 'left', 'closed', 'destroy']);
    expect(miner.item(write('z'))).toEqual([]);
  });

  test('a slow miner’s casts replace each other', () => {
    const miner = connect({ ...LIMITS, outBytesMax: 100 });
    miner.say('1\n');
    miner.place();
    miner.item(write('x'));
    miner.take({ kind: 'flush' });
    const cast = {
      server: 'a',
      group: 1,
      bytes: Buffer.alloc(40, 'c'),
      mark: NO_MARK,
      replaces: 'refresh',
    } as const;
    expect(miner.take({ kind: 'cast', cast })).toEqual([]);
    for (let round = 0; round < 10; round += 1) {
      expect(miner.take({ kind: 'cast', cast })).toEqual([
        { kind: 'count', what: 'replaced_casts', by: 1 },
      ]);
    }
  });

  test('FIN comes after what was written', () => {
    const miner = connect();
    miner.say('1\n');
    miner.place();
    miner.item(write('bye\n'));
    expect(kinds(miner.item({ kind: 'close', reason: 'banned' }))).toEqual([
      'left',
      'read',
      'write',
    ]);
    expect(miner.item(write('more\n'))).toEqual([{ kind: 'count', what: 'stale_items', by: 1 }]);
    expect(kinds(miner.take({ kind: 'written' }))).toEqual(['fin']);
    expect(miner.take({ kind: 'flush' })).toEqual([]);
  });

  test('a keep-alive line is written after silence, also without a server', () => {
    const miner = connect();
    miner.say('1\n');
    miner.place();
    miner.item({ kind: 'idle', afterMs: 1_000, bytes: Buffer.from('ping\n') });
    expect(miner.tick(999)).toEqual([]);
    expect(kinds(miner.tick(1_000))).toEqual(['write', 'count']);
    miner.take({ kind: 'written' });
    miner.take({ kind: 'unplaced' });
    expect(miner.tick(1_999)).toEqual([]);
    expect(kinds(miner.tick(2_000))).toEqual(['write', 'count']);
    expect(miner.tick(3_000)).toEqual([]); // The kernel has not even taken the last one.
    miner.take({ kind: 'written' });
    miner.place('b');
    miner.item({ kind: 'idle', afterMs: 0, bytes: NO_MARK }, 'b');
    expect(miner.tick(9_000)).toEqual([]);
  });
});

suite('the end', () => {
  test('a miner that sends FIN still gets its answers', () => {
    const miner = connect();
    miner.say('1\n');
    miner.place();
    expect(miner.take({ kind: 'input_ended' })).toEqual([]);
    miner.item(write('r1\n'));
    expect(kinds(miner.item({ kind: 'ack', seq: 1 }))).toEqual(['close', 'left', 'read', 'write']);
    expect(kinds(miner.take({ kind: 'written' }))).toEqual(['fin']);
  });

  test('one whose answers never come is closed', () => {
    const miner = connect();
    miner.say('1\n');
    miner.place();
    miner.take({ kind: 'input_ended' });
    expect(miner.tick(LIMITS.closeMs)).toEqual([]);
    expect(kinds(miner.tick(LIMITS.closeMs + 1))).toEqual(['close', 'left', 'closed', 'destroy']);
  });

  test('a closed socket is told to the server, once', () => {
    const miner = connect();
    miner.say('1\n');
    miner.place();
    miner.item({ kind: 'join', group: 1 });
    const effects = miner.take({ kind: 'socket_closed', reason: 'peer' });
    expect(kinds(effects)).toEqual(['close', 'leave', 'left', 'closed']);
    expect(miner.take({ kind: 'socket_closed', reason: 'peer' })).toEqual([]);
    expect(miner.tick(1e9)).toEqual([]);
  });

  test('a capsule beyond its bound closes the connection: half a capsule would be a lie', () => {
    const miner = connect({ ...LIMITS, capsuleBytesMax: 4 });
    miner.say('1\n');
    miner.place();
    expect(kinds(miner.item({ kind: 'capsule', change: 'set', bytes: Buffer.alloc(5) }))).toContain(
      'destroy',
    );
  });
});
