import { describe, expect, test } from 'vitest';
import { parsePoolConfig, resolvePoolConfig } from './resolve-config.ts';

const DEVCHAIN = {
  node: { url: 'http://u:p@127.0.0.1:1' },
  payoutAddress: 'bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080',
};
const LTC = {
  chain: 'litecoin',
  nodes: [{ url: 'http://u:p@127.0.0.1:9332' }],
  payoutAddress: 'ltc1qw508d6qejxtdg4y5r3zarvary0c5xw7kgmn4n9',
};

function resolve(raw: unknown) {
  const parsed = parsePoolConfig(raw);
  return parsed.ok ? resolvePoolConfig(parsed.config, '/run', DEVCHAIN) : parsed;
}
function problemsOf(raw: unknown): readonly string[] {
  const resolved = resolve(raw);
  return resolved.ok ? [] : resolved.problems;
}

describe('resolvePoolConfig()', () => {
  test('an empty file is devchain on port 3333, and says that it is', () => {
    const resolved = resolve(null);
    if (!resolved.ok) throw new Error(resolved.problems.join());
    expect(resolved.config.chains).toMatchObject([{ id: 'devchain', isDevchain: true }]);
    expect(resolved.config.listeners.map(({ port, chain }) => [port, chain])).toEqual([
      [3333, 'devchain'],
    ]);
  });

  test('one real node and a payout address are all that production needs', () => {
    const resolved = resolve({ chains: [LTC] });
    if (!resolved.ok) throw new Error(resolved.problems.join());
    expect(resolved.config.chains).toMatchObject([
      { id: 'litecoin', isDevchain: false, network: 'main' },
    ]);
    expect(resolved.config.listeners.map(({ name, port }) => [name, port])).toEqual([
      ['scrypt', 3433],
    ]);
  });

  const rows: readonly [string, unknown, RegExp][] = [
    [
      'a chain without an address',
      { chains: [{ ...LTC, payoutAddress: undefined }] },
      /payoutAddress.*does not start without/,
    ],
    [
      'an address of another chain',
      { chains: [{ ...LTC, payoutAddress: DEVCHAIN.payoutAddress }] },
      /payoutAddress.*bitcoin regtest/,
    ],
    ['a chain without nodes', { chains: [{ ...LTC, nodes: [] }] }, /at least one node/],
    ['two chains of one name', { chains: [LTC, LTC] }, /two chains have this id/],
    ['a setting that does not exist', { chainz: [] }, /chainz/],
    [
      'a port twice',
      { listeners: [{ name: 'a', port: 8080, startDifficulty: 1, minDifficulty: 1 }] },
      /8080 is taken by http\.port/,
    ],
    [
      'a listener of no chain',
      { listeners: [{ name: 'a', port: 1, chain: 'doge', startDifficulty: 1, minDifficulty: 1 }] },
      /there is no chain doge/,
    ],
    [
      'a start below the floor',
      { listeners: [{ name: 'a', port: 1, startDifficulty: 1, minDifficulty: 2 }] },
      /at least minDifficulty/,
    ],
  ];
  test.each(rows)('refuses %s', (_name, raw, problem) => {
    expect(problemsOf(raw).join('\n')).toMatch(problem);
  });

  test('says all problems at once', () => {
    expect(
      problemsOf({
        chains: [{ ...LTC, payoutAddress: undefined, nodes: [] }],
        listeners: [{ name: 'a', port: 8081, startDifficulty: 1, minDifficulty: 2 }],
      }).length,
    ).toBe(4);
    expect(problemsOf({ pool: { name: 5 }, http: { port: 0 } }).length).toBe(2);
  });
});
