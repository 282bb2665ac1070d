import { expect, suite, test } from 'vitest';
import vectors from '#test/vectors/blocks.json' with { type: 'json' };
import commitments from '#test/vectors/witness-commitment.json' with { type: 'json' };
import { assembleBlock, coinbaseForBlock, parseBlock } from './block.ts';
import { concatBytes } from './bytes.ts';
import { WireError } from './errors.ts';
import { blockHashOf } from './header.ts';
import { decodeHeight } from './height.ts';
import { bytesFromHex, hexFromBytes } from './hex.ts';
import { merkleRoot, witnessRoot } from './merkle.ts';
import { displayFromInternal, internalFromDisplay } from './prevhash.ts';
import { encodeTransaction } from './transaction.ts';
import {
  emptyWitnessCommitmentScript,
  findWitnessCommitment,
  witnessCommitmentScript,
} from './witness-commitment.ts';

suite('parseBlock()', () => {
  for (const row of vectors.blocks) {
    const bytes = bytesFromHex(row.block);
    test(`reads ${row.note}`, () => {
      const block = parseBlock(bytes);
      expect(blockHashOf(block.headerBytes)).toBe(row.hash);
      expect(block.count).toBe(row.count);
      const txids = block.transactions.map(({ txid }) => displayFromInternal(txid));
      expect(txids).toEqual(row.decoded.slice(0, txids.length).map(({ txid }) => txid));
      const hidden = row.decoded.slice(txids.length);
      expect(hexFromBytes(block.opaque).startsWith(hidden.map(({ hex }) => hex).join(''))).toBe(
        true,
      );
      expect(block.opaque.length > 0).toBe(hidden.length > 0);
      expect(merkleRoot(row.decoded.map(({ txid }) => internalFromDisplay(txid)))).toEqual(
        block.header.merkleRoot,
      );
      const [coinbase] = block.transactions;
      expect(decodeHeight(coinbase?.inputs[0]?.scriptSig ?? new Uint8Array())).toBe(row.height);
    });
    test(`refuses every truncation of ${row.note} before its MWEB part, and what follows it`, () => {
      const { opaque } = parseBlock(bytes);
      for (let length = 0; length < bytes.length - opaque.length; length += 7)
        expect(() => parseBlock(bytes.subarray(0, length))).toThrow(WireError);
      if (opaque.length === 0)
        expect(() => parseBlock(concatBytes(bytes, Uint8Array.of(0)))).toThrow(WireError);
    });
    test(`assembles ${row.note} to the same bytes`, () => {
      const { transactions, headerBytes, opaque } = parseBlock(bytes);
      const [coinbase, ...others] = transactions;
      if (coinbase === undefined) throw new Error('no coinbase');
      const hogEx = bytesFromHex(
        row.decoded
          .slice(transactions.length)
          .map(({ hex }) => hex)
          .join(''),
      );
      const mweb = opaque.length === 0 ? undefined : opaque.subarray(hogEx.length + 1);
      const assembled = assembleBlock({
        header: headerBytes,
        coinbase: encodeTransaction({ ...coinbase, hasWitness: false }),
        transactions: [...others.map(({ raw }) => raw), ...(hogEx.length > 0 ? [hogEx] : [])],
        mweb,
      });
      expect(hexFromBytes(assembled)).toBe(row.block);
    });
  }
});

suite('coinbaseForBlock()', () => {
  const coinbase = parseBlock(bytesFromHex(vectors.blocks[0]?.block ?? '')).transactions[0];
  if (coinbase === undefined) throw new Error('no coinbase');
  test('adds no witness to a coinbase that commits to none', () => {
    const bare = encodeTransaction({
      ...coinbase,
      hasWitness: false,
      outputs: coinbase.outputs.slice(0, 1),
    });
    expect(coinbaseForBlock(bare)).toBe(bare);
  });
  test('refuses another transaction', () => {
    const hex = vectors.blocks[0]?.decoded[1]?.hex ?? '';
    expect(() => coinbaseForBlock(bytesFromHex(hex))).toThrow(WireError);
  });
});

suite('witness commitment', () => {
  for (const { note, wtxids, script } of commitments.rows) {
    test(`script of ${note}`, () => {
      const root = witnessRoot(wtxids.map(internalFromDisplay));
      expect(hexFromBytes(witnessCommitmentScript(root))).toBe(script);
    });
  }
  test('of an empty block', () => {
    expect(hexFromBytes(emptyWitnessCommitmentScript())).toBe(commitments.rows[0]?.script);
  });
  test('the last output that looks like one counts', () => {
    const looks = (last: number) =>
      Uint8Array.of(0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed, ...new Uint8Array(31), last);
    const outputs = [looks(1), looks(2), looks(3).subarray(0, 37), Uint8Array.of(0x51)].map(
      (script) => ({ valueSat: 0n, script }),
    );
    const coinbase = { version: 2, inputs: [], outputs, lockTime: 0, hasWitness: false };
    expect(findWitnessCommitment(coinbase)?.at(-1)).toBe(2);
    expect(findWitnessCommitment({ ...coinbase, outputs: [] })).toBeUndefined();
  });
});
