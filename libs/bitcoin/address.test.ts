import fc from 'fast-check';
import { expect, suite, test } from 'vitest';
import vectors from '#test/vectors/addresses.json' with { type: 'json' };
import { scriptFromAddress } from './address.ts';
import { CHAINS, type ChainName, chainParams, type NetworkName } from './chains.ts';
import { hexFromBytes } from './hex.ts';

const paramsOf = (row: { chain: string; network: string }) =>
  chainParams(row.chain as ChainName, row.network as NetworkName);

suite('scriptFromAddress()', () => {
  for (const row of vectors.valid) {
    test(`${row.chain} ${row.network} takes ${row.address} as ${row.kind}`, () => {
      const found = scriptFromAddress(row.address, paramsOf(row));
      expect(found.kind === 'script' && [found.addressKind, hexFromBytes(found.script)]).toEqual([
        row.kind,
        row.script,
      ]);
    });
  }
  for (const row of vectors.refused) {
    test(`${row.chain} ${row.network} refuses "${row.address}": ${row.note}`, () => {
      const found = scriptFromAddress(row.address, paramsOf(row));
      expect(found.kind === 'refused' && found.reason).toContain(row.reason);
    });
  }
  test('answers any text with a value and never throws', () => {
    const mutated = fc
      .tuple(
        fc.constantFrom(...vectors.valid.map(({ address }) => address)),
        fc.nat(),
        fc.string({ maxLength: 2 }),
      )
      .map(
        ([address, at, text]) =>
          address.slice(0, at % address.length) + text + address.slice((at % address.length) + 1),
      );
    fc.assert(
      fc.property(fc.oneof(fc.string(), mutated), fc.constantFrom(...CHAINS), (text, params) => {
        expect(['script', 'refused']).toContain(scriptFromAddress(text, params).kind);
      }),
      { numRuns: 300 },
    );
  });
});
