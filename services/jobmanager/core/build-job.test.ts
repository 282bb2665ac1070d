import fc from 'fast-check';
import { expect, suite, test } from 'vitest';
import { bytesFromHex, hexFromBytes } from '#libs/bitcoin/hex.ts';
import { decodeHeight } from '#libs/bitcoin/height.ts';
import { merkleRoot, rootFromBranch } from '#libs/bitcoin/merkle.ts';
import { internalFromDisplay } from '#libs/bitcoin/prevhash.ts';
import { parseTransaction, type Transaction } from '#libs/bitcoin/transaction.ts';
import { sha256d } from '#libs/bitcoin/hash.ts';
import { jobSchema, type Job } from '#libs/contracts/job.ts';
import { coinbaseOf } from '#libs/mining/coinbase-layout.ts';
import { buildEmptyJob, buildFullJob } from './build-job.ts';
import { make, payments, settings, withMweb, without } from './jobs.fixture.ts';

const COMMITMENT_OF_NOTHING =
  '6a24aa21a9ede2f61c3f71d1defd3fa999dfa36953755c690689799962b48bebd836974e8cf9';

function coinbaseBytes(job: Job): Uint8Array {
  const { extranonce1Size, extranonce2Size } = job.coinbase;
  return coinbaseOf(job.coinbase, new Uint8Array(extranonce1Size), new Uint8Array(extranonce2Size));
}

function outputsOf(coinbase: Transaction) {
  return coinbase.outputs.map(({ valueSat, script }) => [Number(valueSat), hexFromBytes(script)]);
}

suite('buildFullJob()', () => {
  const { job, body } = make(payments);
  const coinbase = parseTransaction(coinbaseBytes(job));

  test('fits its contract', () => {
    expect(jobSchema.parse(job)).toEqual(job);
  });
  test('takes parent, height, target and times from the template', () => {
    expect(job).toMatchObject({
      chain: 'ltc',
      height: 151,
      parent: payments.previousblockhash,
      nbits: 0x207fffff,
      curtime: payments.curtime,
      mintime: payments.mintime,
      bodyId: body?.bodyId,
    });
  });
  test('pays everything to the pool and commits to the witnesses as the node said', () => {
    expect(outputsOf(coinbase)).toEqual([
      [2_500_014_300, settings.poolScript],
      [0, payments.default_witness_commitment],
    ]);
  });
  test('is a coinbase after BIP 34 and BIP 54', () => {
    const [input] = coinbase.inputs;
    expect(decodeHeight(input?.scriptSig ?? new Uint8Array())).toBe(151);
    expect(input?.sequence).toBe(0xffff_fffe);
    expect(coinbase.lockTime).toBe(150);
  });
  test('lays the scriptSig out as pushes: height, extranonces, tag', () => {
    const tag = hexFromBytes(new TextEncoder().encode('/Seam/'));
    const script = hexFromBytes(coinbase.inputs[0]?.scriptSig ?? new Uint8Array());
    expect(script).toBe(`029700${'0c'}${'00'.repeat(12)}06${tag}`);
  });
  test('has a branch that leads to the root of all transactions', () => {
    const txids = payments.transactions.map(({ txid }) => internalFromDisplay(txid));
    const txid = sha256d(coinbaseBytes(job));
    expect(rootFromBranch(txid, job.merkleBranch.map(bytesFromHex))).toEqual(
      merkleRoot([txid, ...txids]),
    );
  });
  test('names its content: any other content has another id', () => {
    const other = buildFullJob(
      { ...payments, curtime: payments.curtime + 1 },
      job.bodyId,
      settings,
    );
    expect(other.jobId).not.toBe(job.jobId);
    expect(make(payments).job).toEqual(job);
  });
  test('never starts before the time a block may have', () => {
    expect(make({ ...payments, curtime: payments.mintime - 5 }).job.curtime).toBe(payments.mintime);
  });

  test.each([
    [0x2000_0000, 0, 0x2000_0000, 0x1fff_e000],
    [0x3fff_ffff, 0, 0x2000_1fff, 0x1fff_e000],
    [0xffff_ffff, 0, 0xe000_1fff, 0x1fff_e000],
    [0x2000_0000, 0x0000_2000, 0x2000_2000, 0x1fff_c000],
  ])(
    'makes version %i with required bits %i to %i, miners may roll %i',
    (version, vbrequired, expected, mask) => {
      const { job } = make({ ...payments, version, vbrequired });
      expect([job.version, job.versionMask]).toEqual([expected, mask]);
    },
  );

  test('carries the HogEx in the branch and the body, undecoded', () => {
    const { job, body } = make(withMweb);
    expect(body?.transactions.map(hexFromBytes)).toEqual(
      withMweb.transactions.map(({ data }) => data),
    );
    expect(hexFromBytes(body?.mweb ?? new Uint8Array())).toBe(withMweb.mweb);
    expect(job.merkleBranch.length).toBe(2);
  });
  test('puts what the node asks for behind the tag, if there is room', () => {
    const { job } = make({
      ...payments,
      coinbaseaux: { flags: 'abcd', junk: 'xyz', big: '00'.repeat(90) },
    });
    expect(job.coinbase.scriptSigTail).toBe('062f5365616d2f02abcd');
  });
  test('without witnesses on the chain commits to none', () => {
    const { job } = make({ ...payments, default_witness_commitment: undefined });
    expect(job.coinbase.extraOutputs).toEqual([]);
  });
  test('has a coinbase that consensus accepts, whatever tag and height', () => {
    const tag = fc.string({
      unit: fc.integer({ min: 0x20, max: 0x7e }).map((code) => String.fromCharCode(code)),
      maxLength: 41,
    });
    const height = fc.integer({ min: 1, max: 0x7fff_ffff });
    const aux = fc.dictionary(
      fc.string(),
      fc.oneof(fc.string(), fc.uint8Array().map(hexFromBytes)),
      { maxKeys: 4 },
    );
    fc.assert(
      fc.property(tag, height, aux, (tag, height, coinbaseaux) => {
        const { job } = make({ ...without, height, coinbaseaux }, { tag });
        expect(jobSchema.safeParse(job).success).toBe(true);
        const [input] = parseTransaction(coinbaseBytes(job)).inputs;
        const script = input?.scriptSig ?? new Uint8Array();
        expect(script.length).toBeGreaterThanOrEqual(2);
        expect(script.length).toBeLessThanOrEqual(100);
        expect(decodeHeight(script)).toBe(height);
      }),
    );
  });
});

suite('buildEmptyJob()', () => {
  test('pays the subsidy alone and commits to no witness', () => {
    const job = buildEmptyJob(payments, settings);
    expect(job).toMatchObject({ bodyId: null, merkleBranch: [], height: 151 });
    expect(job?.coinbase.valueSat).toBe(2_500_000_000); // 50 LTC halved once: regtest does so at 150.
    expect(job?.coinbase.extraOutputs).toEqual([{ valueSat: 0, script: COMMITMENT_OF_NOTHING }]);
    expect(job?.jobId).not.toBe(make(payments).job.jobId);
  });
  test('is the job of the template without its transactions', () => {
    expect(buildEmptyJob(payments, settings)).toEqual(make(without).job);
  });
  test('commits to nothing where witnesses are not active', () => {
    const job = buildEmptyJob({ ...payments, default_witness_commitment: undefined }, settings);
    expect(job?.coinbase.extraOutputs).toEqual([]);
  });
  test.each([
    ['MWEB wants its HogEx', withMweb],
    ['the template is empty anyway', without],
    [
      'a fee is not known',
      {
        ...payments,
        transactions: payments.transactions.map((each, index) =>
          index === 3 ? { ...each, fee: undefined } : each,
        ),
      },
    ],
    ['the fees exceed the value', { ...payments, coinbasevalue: 100 }],
  ])('is none if %s', (_, template) => {
    expect(buildEmptyJob(template, settings)).toBeUndefined();
  });
});
