import { expect, suite, test } from 'vitest';
import vectors from '#test/vectors/difficulty-1.json' with { type: 'json' };
import { CHAINS, type ChainName, chainParams } from './chains.ts';

suite('chainParams()', () => {
  for (const row of vectors.rows) {
    test(`${row.chain}: share difficulty 1`, () => {
      const { diff1Target, algorithm, hashesPerDifficulty } = chainParams(
        row.chain as ChainName,
        'main',
      );
      expect(diff1Target).toBe(BigInt(`0x${row.diff1}`));
      expect([algorithm, hashesPerDifficulty]).toEqual([row.algorithm, row.hashesPerDifficulty]);
    });
  }
  test('refuses a chain that is not in the table', () => {
    expect(() => chainParams('dogecoin' as ChainName, 'main')).toThrow(RangeError);
  });
});

suite('the table', () => {
  test('has each chain and network once', () => {
    const names = CHAINS.map(({ chain, network }) => `${chain}/${network}`);
    expect(new Set(names).size).toBe(names.length);
    expect(names.length).toBe(8);
  });
  test('calls exactly the main networks real', () => {
    for (const { network, isReal } of CHAINS) expect(isReal).toBe(network === 'main');
  });
  test('asks for the mweb rule exactly where there is MWEB', () => {
    for (const { rules, hasMweb, mwebHrp } of CHAINS) {
      expect(rules.includes('mweb')).toBe(hasMweb);
      expect(mwebHrp !== undefined).toBe(hasMweb);
    }
  });
  test('takes the target of difficulty 1 as about 2^256 over the hashes it stands for', () => {
    for (const { diff1Target, hashesPerDifficulty } of CHAINS)
      expect((Number(diff1Target) * hashesPerDifficulty) / 2 ** 256).toBeCloseTo(1, 4);
  });
});
