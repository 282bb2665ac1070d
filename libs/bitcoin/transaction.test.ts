import fc from 'fast-check';
import { expect, suite, test } from 'vitest';
import vectors from '#test/vectors/blocks.json' with { type: 'json' };
import { WireError } from './errors.ts';
import { bytesFromHex, hexFromBytes } from './hex.ts';
import { displayFromInternal } from './prevhash.ts';
import { Reader } from './reader.ts';
import {
  encodeTransaction,
  isCoinbase,
  isMwebTransaction,
  parseTransaction,
  readTransaction,
  type Transaction,
} from './transaction.ts';

const known = vectors.blocks.flatMap((block) => block.decoded);
const decodable = known.filter(({ hex }) => !isMwebTransaction(bytesFromHex(hex)));
const script = fc.uint8Array({ maxLength: 300 });
const uint32 = fc.integer({ min: 0, max: 0xffff_ffff });
const input = fc.record({
  prevTxid: fc.uint8Array({ minLength: 32, maxLength: 32 }),
  prevIndex: uint32,
  scriptSig: script,
  sequence: uint32,
  witness: fc.array(script, { maxLength: 3 }),
});
const output = fc.record({ valueSat: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }), script });

/** Any transaction in its only form: with witnesses exactly if there is one. */
const transaction: fc.Arbitrary<Transaction> = fc
  .record({
    version: uint32,
    inputs: fc.array(input, { minLength: 1, maxLength: 4 }),
    outputs: fc.array(output, { maxLength: 4 }),
    lockTime: uint32,
  })
  .map((parts) => ({
    ...parts,
    hasWitness: parts.inputs.some(({ witness }) => witness.length > 0),
  }));

suite('parseTransaction()', () => {
  for (const row of decodable) {
    test(`reads ${row.txid} as litecoind does`, () => {
      const parsed = parseTransaction(bytesFromHex(row.hex));
      expect(displayFromInternal(parsed.txid)).toBe(row.txid);
      expect(displayFromInternal(parsed.wtxid)).toBe(row.wtxid);
      expect([parsed.version, parsed.lockTime, parsed.inputs.length]).toEqual([
        row.version,
        row.lockTime,
        row.inputs,
      ]);
      const outputs = parsed.outputs.map((each) => ({
        valueSat: Number(each.valueSat),
        script: hexFromBytes(each.script),
      }));
      expect(outputs).toEqual(row.outputs);
      expect(hexFromBytes(encodeTransaction(parsed))).toBe(row.hex);
    });
  }
  test('does not touch what has an MWEB part', () => {
    const hogEx = known.find(({ hex }) => isMwebTransaction(bytesFromHex(hex)));
    expect(() => parseTransaction(bytesFromHex(hogEx?.hex ?? ''))).toThrow(
      expect.objectContaining({ code: 'opaque_mweb' }),
    );
  });
  test.each([
    ['01000000 00 00 00000000', 'bad_value'],
    ['01000000 0002 01', 'bad_value'],
    ['01000000 0001 00 00 00000000', 'bad_value'],
    ['01000000 fdffff', 'too_large'],
    ['01000000 feffffffff', 'too_large'],
    ['01000000 fd0100', 'non_canonical'],
  ])('refuses %s as %s', (hex, code) => {
    expect(() => parseTransaction(bytesFromHex(hex.replaceAll(' ', '')))).toThrow(
      expect.objectContaining({ code }),
    );
  });
  test('refuses the segwit form without any witness (BIP 144)', () => {
    const [row] = decodable.filter(({ txid, wtxid }) => txid !== wtxid);
    const parsed = parseTransaction(bytesFromHex(row?.hex ?? ''));
    const bare = { ...parsed, inputs: parsed.inputs.map((each) => ({ ...each, witness: [] })) };
    expect(() => parseTransaction(encodeTransaction(bare))).toThrow(
      expect.objectContaining({ code: 'non_canonical' }),
    );
  });
  test('tells a coinbase', () => {
    expect(
      known
        .filter(({ hex }) => !isMwebTransaction(bytesFromHex(hex)))
        .map(({ hex }) => isCoinbase(parseTransaction(bytesFromHex(hex)))),
    ).toEqual(decodable.map((row) => vectors.blocks.some((block) => block.decoded[0] === row)));
  });

  test('gives back what was written, with ids that do not depend on what follows', () => {
    fc.assert(
      fc.property(transaction, fc.uint8Array({ maxLength: 5 }), (original, rest) => {
        const bytes = encodeTransaction(original);
        const parsed = parseTransaction(bytes);
        expect(encodeTransaction(parsed)).toEqual(bytes);
        expect(parsed).toMatchObject(original);
        const reader = new Reader(Uint8Array.of(...bytes, ...rest));
        expect(readTransaction(reader).wtxid).toEqual(parsed.wtxid);
        expect(reader.remaining).toBe(rest.length);
      }),
    );
  });
  test('refuses every truncation and every addition', () => {
    fc.assert(
      fc.property(
        transaction,
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        (original, part) => {
          const bytes = encodeTransaction(original);
          const cut = bytes.subarray(0, Math.floor(bytes.length * part));
          expect(() => parseTransaction(cut)).toThrow(WireError);
          expect(() => parseTransaction(Uint8Array.of(...bytes, 0))).toThrow(WireError);
        },
      ),
    );
  });
  test('answers any bytes with a transaction or a WireError, never more', () => {
    const mutated = fc
      .tuple(fc.constantFrom(...decodable.map(({ hex }) => hex)), fc.nat(), fc.nat(255))
      .map(([hex, at, byte]) => {
        const bytes = bytesFromHex(hex);
        bytes[at % bytes.length] = byte;
        return bytes;
      });
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), mutated), (bytes) => {
        try {
          expect(encodeTransaction(parseTransaction(bytes))).toEqual(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(WireError);
        }
      }),
      { numRuns: 1_000 },
    );
  });
});
