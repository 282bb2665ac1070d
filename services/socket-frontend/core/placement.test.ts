import fc from 'fast-check';
import { expect, suite, test } from 'vitest';
import { pickServer, planMoves, type ServerLoad } from './placement.ts';

const server = (key: string, load: number, ours = load, accepts = true): ServerLoad => ({
  key,
  load,
  ours,
  accepts,
});
const diceOf = (...values: readonly number[]) => {
  let next = 0;
  return () => values[next++ % values.length] ?? 0;
};

suite('pickServer()', () => {
  test('takes the less loaded of two', () => {
    const servers = [server('a', 5), server('b', 3), server('c', 1)];
    expect(pickServer(servers, diceOf(0, 0))).toBe('b'); // a and b were drawn.
    expect(pickServer(servers, diceOf(0.5, 0))).toBe('b'); // b and a.
    expect(pickServer(servers, diceOf(0, 0.9))).toBe('c');
  });

  test('takes none that does not accept, nor the one to avoid', () => {
    const servers = [server('a', 0, 0, false), server('b', 9), server('c', 9)];
    for (const dice of [0, 0.4, 0.9]) {
      expect(pickServer(servers, diceOf(dice), 'b')).toBe('c');
    }
    expect(pickServer([server('a', 0)], diceOf(0), 'a')).toBeUndefined();
    expect(pickServer([], diceOf(0))).toBeUndefined();
  });

  test('spreads connections nearly evenly', () => {
    let dice = 1;
    const random = () => (dice = (dice * 16_807) % 2_147_483_647) / 2_147_483_647;
    for (const count of [2, 3, 5, 8]) {
      const loads = Array.from({ length: count }, () => 0);
      for (let placed = 0; placed < 100 * count; placed += 1) {
        const servers = loads.map((load, index) => server(String(index), load));
        const key = Number(pickServer(servers, random));
        loads[key] = (loads[key] ?? 0) + 1;
      }
      expect(Math.max(...loads)).toBeLessThan(110);
    }
  });
});

suite('planMoves()', () => {
  test('moves nothing while load is nearly even', () => {
    expect(planMoves([server('a', 100), server('b', 95), server('c', 104)], 1_000)).toEqual([]);
    expect(planMoves([server('a', 3), server('b', 0)], 1_000)).toEqual([]);
  });

  test('moves to a new server from those above the mean, half of what is too much', () => {
    const moves = planMoves([server('a', 300), server('b', 300), server('new', 0)], 1_000);
    expect(moves).toEqual([
      { from: 'a', to: 'new', count: 50 },
      { from: 'b', to: 'new', count: 50 },
    ]);
  });

  test('moves only this frontend’s share, within a slice', () => {
    expect(planMoves([server('a', 300, 30), server('new', 0)], 1_000)).toEqual([
      { from: 'a', to: 'new', count: 8 },
    ]);
    expect(planMoves([server('a', 300), server('new', 0)], 16)).toEqual([
      { from: 'a', to: 'new', count: 16 },
    ]);
  });

  test('neither takes from nor gives to a server that does not accept', () => {
    expect(
      planMoves([server('a', 300, 300, false), server('b', 100), server('c', 100)], 1_000),
    ).toEqual([]);
    expect(planMoves([server('a', 300), server('new', 0, 0, false)], 1_000)).toEqual([]);
  });

  test('ends even, whatever the start, and stays so', () => {
    const loads = fc.array(fc.nat(5_000), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(loads, (start) => {
        let servers = start.map((load, index) => server(String(index), load));
        for (let round = 0; round < 400; round += 1) {
          for (const { from, to, count } of planMoves(servers, 200)) {
            servers = servers.map((one) => {
              const change = one.key === from ? -count : one.key === to ? count : 0;
              return server(one.key, one.load + change);
            });
          }
        }
        expect(planMoves(servers, 200)).toEqual([]);
        expect(servers.reduce((sum, { load }) => sum + load, 0)).toBe(
          start.reduce((sum, load) => sum + load, 0),
        );
      }),
    );
  });
});
