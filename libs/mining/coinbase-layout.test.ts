import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bytesFromHex, hexFromBytes } from '#libs/bitcoin/hex.ts';
import { isCoinbase, parseTransaction } from '#libs/bitcoin/transaction.ts';
import { coinb1Of, coinb2Of, coinbaseOf } from './coinbase-layout.ts';
import { makeJob } from './job.fixture.ts';

const { coinbase: layout } = makeJob();
const owner = bytesFromHex(`0014${'99'.repeat(20)}`);
const extranonce1 = bytesFromHex('0000002a');
const extranonce2 = bytesFromHex('0102030405060708');
const paid = (coinbase: Uint8Array) =>
  parseTransaction(coinbase).outputs.map(({ valueSat, script }) => [
    valueSat,
    hexFromBytes(script),
  ]);

describe('coinbaseOf()', () => {
  test('is a coinbase transaction with the job’s fields', () => {
    const transaction = parseTransaction(coinbaseOf(layout, extranonce1, extranonce2));
    expect(isCoinbase(transaction)).toBe(true);
    expect(transaction).toMatchObject({ version: 2, lockTime: 839_999, hasWitness: false });
    const [input] = transaction.inputs;
    expect(input?.sequence).toBe(0xffff_fffe);
    expect(hexFromBytes(input?.scriptSig ?? new Uint8Array())).toBe(
      '0340d10c' + '0000002a' + '0102030405060708' + '2f5365616d2f',
    );
  });

  test('pays everything to the pool in pool mode', () => {
    expect(paid(coinbaseOf(layout, extranonce1, extranonce2))).toEqual([
      [312_500_001n, layout.poolScript],
      [0n, layout.extraOutputs[0]?.script],
    ]);
  });

  test('pays the owner first and the pool its fee, rounded down, in solo', () => {
    const withFee = { ...layout, feeBasisPoints: 150 };
    expect(paid(coinbaseOf(withFee, extranonce1, extranonce2, owner))).toEqual([
      [312_500_001n - 4_687_500n, hexFromBytes(owner)],
      [4_687_500n, layout.poolScript],
      [0n, layout.extraOutputs[0]?.script],
    ]);
  });

  test('has no pool output in solo without a fee', () => {
    expect(paid(coinbaseOf(layout, extranonce1, extranonce2, owner))).toEqual([
      [312_500_001n, hexFromBytes(owner)],
      [0n, layout.extraOutputs[0]?.script],
    ]);
  });

  test('has the owner’s output wholly in coinb2', () => {
    expect(hexFromBytes(coinb2Of(layout, owner))).toContain(hexFromBytes(owner));
    expect(hexFromBytes(coinb1Of(layout))).not.toContain(hexFromBytes(owner));
  });

  test('takes extranonces cut elsewhere, but not of another total', () => {
    const all = bytesFromHex('0000002a0102030405060708');
    const other = coinbaseOf(layout, all.subarray(0, 8), all.subarray(8));
    expect(other).toEqual(coinbaseOf(layout, extranonce1, extranonce2));
    expect(() => coinbaseOf(layout, extranonce1, extranonce1)).toThrow(RangeError);
  });

  test('refuses a scriptSig above 100 bytes', () => {
    const tail = (bytes: number) => ({ ...layout, scriptSigTail: '00'.repeat(bytes) });
    expect(coinb1Of(tail(84)).at(41)).toBe(100);
    expect(() => coinb1Of(tail(85))).toThrow(RangeError);
  });

  test('never creates or destroys value', () => {
    const value = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
    fc.assert(
      fc.property(
        value,
        fc.integer({ min: 0, max: 10_000 }),
        fc.boolean(),
        (valueSat, feeBasisPoints, isSolo) => {
          const coinbase = coinbaseOf(
            { ...layout, valueSat, feeBasisPoints },
            extranonce1,
            extranonce2,
            isSolo ? owner : undefined,
          );
          const sum = parseTransaction(coinbase).outputs.reduce(
            (total, out) => total + out.valueSat,
            0n,
          );
          expect(sum).toBe(BigInt(valueSat));
        },
      ),
    );
  });
});
