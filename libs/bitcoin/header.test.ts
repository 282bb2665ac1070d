import fc from 'fast-check';
import { expect, suite, test } from 'vitest';
import vectors from '#test/vectors/headers.json' with { type: 'json' };
import { WireError } from './errors.ts';
import { powHash, type PowAlgorithm, sha256, sha256d } from './hash.ts';
import { blockHashOf, decodeHeader, encodeHeader } from './header.ts';
import { bytesFromHex, hexFromBytes, hexFromUint32 } from './hex.ts';
import { displayFromInternal } from './prevhash.ts';

suite('headers', () => {
  for (const row of vectors.headers) {
    const bytes = bytesFromHex(row.header);
    test(`hashes ${row.note}`, () => {
      expect(blockHashOf(bytes)).toBe(row.hash);
      expect(displayFromInternal(powHash(row.algorithm as PowAlgorithm, bytes))).toBe(row.powHash);
    });
    test(`reads and writes ${row.note}`, () => {
      const header = decodeHeader(bytes);
      const { version, prevhash, merkleRoot, ntime, nbits, nonce } = header;
      expect({ version, ntime, nonce }).toEqual({
        version: row.version,
        ntime: row.ntime,
        nonce: row.nonce,
      });
      expect(hexFromUint32(nbits)).toBe(row.nbits);
      expect(displayFromInternal(prevhash)).toBe(row.prevhash);
      expect(displayFromInternal(merkleRoot)).toBe(row.merkleRoot);
      expect(hexFromBytes(encodeHeader(header))).toBe(row.header);
    });
  }
  test('any 80 bytes come back, any other number is refused', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 80, maxLength: 80 }), fc.nat(79), (bytes, length) => {
        expect(encodeHeader(decodeHeader(bytes))).toEqual(bytes);
        expect(() => decodeHeader(bytes.subarray(0, length))).toThrow(WireError);
      }),
    );
    expect(() => decodeHeader(new Uint8Array(81))).toThrow(
      expect.objectContaining({ code: 'trailing' }),
    );
  });
});

suite('hashes', () => {
  test('SHA-256 of "abc" (FIPS 180-4), once and twice', () => {
    const abc = new TextEncoder().encode('abc');
    expect(hexFromBytes(sha256(abc))).toBe(
      'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
    );
    expect(sha256d(abc)).toEqual(sha256(sha256(abc)));
  });
});
