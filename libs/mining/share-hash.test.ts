import { createHash, scryptSync } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { hexFromBytes } from '#libs/bitcoin/hex.ts';
import { integerFromHash } from '#libs/bitcoin/target.ts';
import { rolledVersion } from '#libs/stratum/version-rolling.ts';
import { makeJob } from './job.fixture.ts';
import { notifyParams } from './notify.ts';
import { hashShare, prepareJob, solvedCoinbase, type Solution } from './share-hash.ts';

const owner = Buffer.from(`0014${'99'.repeat(20)}`, 'hex');

function sha256d(bytes: Uint8Array): Buffer {
  const once = createHash('sha256').update(bytes).digest();
  return createHash('sha256').update(once).digest();
}

/** As a miner builds the header from a notify: written from the protocol's description, with nothing of ours. */
function headerOfMiner(notify: ReturnType<typeof notifyParams>, solution: Solution): string {
  const [, prevhash, coinb1, coinb2, branch, , nbits] = notify;
  const swapped = (hex: string) => Buffer.from(hex, 'hex').reverse().toString('hex');
  const le = (value: number) => swapped((value >>> 0).toString(16).padStart(8, '0'));
  const extranonces = hexFromBytes(solution.extranonce1) + hexFromBytes(solution.extranonce2);
  let root = sha256d(Buffer.from(coinb1 + extranonces + coinb2, 'hex'));
  for (const sibling of branch) root = sha256d(Buffer.concat([root, Buffer.from(sibling, 'hex')]));
  const words = (prevhash.match(/.{8}/g) ?? []).map(swapped).join('');
  return [
    le(solution.version),
    words,
    root.toString('hex'),
    le(solution.ntime),
    swapped(nbits),
    le(solution.nonce),
  ].join('');
}

const uint32 = fc.integer({ min: 0, max: 0xffff_ffff });
const bytes = (count: number) => fc.uint8Array({ minLength: count, maxLength: count });
const solution = fc.record({
  extranonce1: bytes(4),
  extranonce2: bytes(8),
  ntime: uint32,
  nonce: uint32,
  version: uint32,
});
const job = fc
  .record({
    parent: bytes(32).map(hexFromBytes),
    merkleBranch: fc.array(bytes(32).map(hexFromBytes), { maxLength: 14 }),
    bits: uint32,
    isSolo: fc.boolean(),
  })
  .map(({ parent, merkleBranch, isSolo }) => ({ job: makeJob({ parent, merkleBranch }), isSolo }));

describe('hashShare()', () => {
  test('builds the header a miner builds from the notify', () => {
    fc.assert(
      fc.property(job, solution, ({ job, isSolo }, found) => {
        const ownerScript = isSolo ? owner : undefined;
        const share = hashShare(prepareJob(job, 'sha256d', ownerScript), found);
        expect(hexFromBytes(share.header)).toBe(
          headerOfMiner(notifyParams(job, ownerScript, true), found),
        );
        expect(Buffer.from(share.identity)).toEqual(sha256d(share.header));
        expect(share.powNumber).toBe(integerFromHash(share.identity));
      }),
    );
  });

  test('gives arrays of its own: an earlier share does not change with a later one', () => {
    const prepared = prepareJob(makeJob(), 'sha256d');
    const found = (nonce: number): Solution => ({
      extranonce1: Buffer.alloc(4),
      extranonce2: Buffer.alloc(8, nonce),
      ntime: 1,
      nonce,
      version: 2,
    });
    const [first, second] = [found(1), found(2)];
    const before = hashShare(prepared, first);
    const [header, identity] = [hexFromBytes(before.header), hexFromBytes(before.identity)];
    const coinbase = solvedCoinbase(prepared, first);
    const kept = hexFromBytes(coinbase);
    hashShare(prepared, second);
    expect([hexFromBytes(before.header), hexFromBytes(before.identity)]).toEqual([
      header,
      identity,
    ]);
    expect(hexFromBytes(coinbase)).toBe(kept);
    expect(hexFromBytes(hashShare(prepared, first).header)).toBe(header);
  });

  test('does not mix jobs whose shares come in turn', () => {
    const base = makeJob();
    const longer = { ...base.coinbase, scriptSigTail: '00'.repeat(70) };
    const jobs = [base, makeJob({ coinbase: longer }), makeJob({ merkleBranch: [] })];
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(2), solution), { maxLength: 10 }), (shares) => {
        const prepared = jobs.map((job) => prepareJob(job, 'sha256d'));
        for (const [which, found] of shares) {
          const [job, ready] = [jobs[which] ?? base, prepared[which]];
          if (ready === undefined) throw new Error('no such job');
          const header = hexFromBytes(hashShare(ready, found).header);
          expect(header).toBe(headerOfMiner(notifyParams(job, undefined, true), found));
        }
      }),
    );
  });

  test('finds the proof of work of scrypt and keeps sha256d as identity', () => {
    const prepared = prepareJob(makeJob(), 'scrypt');
    const share = hashShare(prepared, {
      extranonce1: new Uint8Array(4),
      extranonce2: new Uint8Array(8),
      ntime: 5,
      nonce: 7,
      version: 0x2000_0000,
    });
    expect(Buffer.from(share.identity)).toEqual(sha256d(share.header));
    expect(share.powNumber).not.toBe(integerFromHash(share.identity));
    const pow = scryptSync(share.header, share.header, 32, { N: 1024, r: 1, p: 1 });
    expect(share.powNumber).toBe(BigInt(`0x${pow.reverse().toString('hex')}`));
  });

  test('takes extranonces that are cut elsewhere', () => {
    const prepared = prepareJob(makeJob(), 'sha256d');
    const all = Uint8Array.from({ length: 12 }, (_, index) => index);
    const cut = (at: number) => ({
      ...{ extranonce1: all.subarray(0, at), extranonce2: all.subarray(at) },
      ...{ ntime: 1, nonce: 1, version: 1 },
    });
    expect(hashShare(prepared, cut(8))).toEqual(hashShare(prepared, cut(4)));
    expect(solvedCoinbase(prepared, cut(8))).toEqual(solvedCoinbase(prepared, cut(4)));
  });

  test('refuses a coinbase that is larger than any', () => {
    const { coinbase } = makeJob();
    const huge = makeJob({ coinbase: { ...coinbase, poolScript: '00'.repeat(40_000) } });
    expect(() => prepareJob(huge, 'sha256d')).toThrow(RangeError);
  });

  test('refuses extranonces that do not fill their place', () => {
    const found = {
      extranonce1: new Uint8Array(4),
      extranonce2: new Uint8Array(4),
      ntime: 1,
      nonce: 1,
      version: 1,
    };
    expect(() => hashShare(prepareJob(makeJob(), 'sha256d'), found)).toThrow(RangeError);
  });
});

describe('notifyParams()', () => {
  test('carries the vector of PROTOCOL.md 1.5 and strings everywhere', () => {
    const params = notifyParams(makeJob(), undefined, false);
    expect(params[1]).toBe('ab02cd818b9e567ee21793cddef299feb29ad444a41b85b8000008a300000000');
    expect(params.slice(5)).toEqual(['20000000', '207fffff', '6553f100', false]);
    expect(params.slice(0, 4).every((field) => typeof field === 'string')).toBe(true);
  });

  test('sends a version without bits of the mask, so that all ways of rolling agree', () => {
    const job = makeJob();
    expect(job.version & job.versionMask).toBe(0);
    expect(rolledVersion(job.version, job.versionMask, 0x00a4_e000)).toBe(0x20a4_e000);
  });
});
