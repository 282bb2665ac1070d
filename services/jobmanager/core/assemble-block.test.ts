import { expect, suite, test } from 'vitest';
import { AssertionError } from '#libs/assert.ts';
import { parseBlock } from '#libs/bitcoin/block.ts';
import { bytesFromHex, hexFromBytes } from '#libs/bitcoin/hex.ts';
import { merkleRoot, witnessRoot } from '#libs/bitcoin/merkle.ts';
import { displayFromInternal } from '#libs/bitcoin/prevhash.ts';
import {
  findWitnessCommitment,
  witnessCommitmentScript,
} from '#libs/bitcoin/witness-commitment.ts';
import { assembleSolution } from './assemble-block.ts';
import { buildEmptyJob } from './build-job.ts';
import { make, payments, settings, solve, withMweb, without } from './jobs.fixture.ts';
import { proposalOf } from './proposal.ts';

function assembled(...args: Parameters<typeof assembleSolution>) {
  const assembly = assembleSolution(...args);
  if (assembly.kind !== 'block') throw new Error(assembly.reason);
  return { hex: assembly.hex, block: parseBlock(bytesFromHex(assembly.hex)) };
}

suite('assembleSolution()', () => {
  const { job, body } = make(payments);
  const solution = solve(job);

  test('makes a block whose roots hold for all its transactions', () => {
    const { block } = assembled(solution, body);
    const [coinbase, ...others] = block.transactions;
    expect(block.count).toBe(11);
    expect(merkleRoot(block.transactions.map(({ txid }) => txid))).toEqual(block.header.merkleRoot);
    if (coinbase === undefined) throw new Error('no coinbase');
    const commitment = witnessCommitmentScript(witnessRoot(others.map(({ wtxid }) => wtxid)));
    expect(findWitnessCommitment(coinbase)).toEqual(commitment);
    expect(coinbase.inputs[0]?.witness.map(hexFromBytes)).toEqual(['00'.repeat(32)]);
    expect(others.map(({ wtxid }) => displayFromInternal(wtxid))).toEqual(
      payments.transactions.map(({ hash }) => hash),
    );
  });
  test('makes a block of the coinbase alone', () => {
    const empty = buildEmptyJob(payments, settings);
    if (empty === undefined) throw new Error('no empty job');
    const { block } = assembled(solve(empty), undefined);
    expect(block.transactions.length).toBe(1);
    expect(block.transactions[0]?.txid).toEqual(block.header.merkleRoot);
  });
  test('appends HogEx and MWEB as they came', () => {
    const made = make(withMweb);
    const { hex, block } = assembled(solve(made.job), made.body);
    expect(block.count).toBe(3);
    expect(hex.endsWith(`${withMweb.transactions.at(-1)?.data}01${withMweb.mweb}`)).toBe(true);
  });
  test('leaves a coinbase without commitment without witness', () => {
    const made = make({ ...without, default_witness_commitment: undefined });
    const { block } = assembled(solve(made.job), undefined);
    expect(block.transactions[0]?.hasWitness).toBe(false);
  });

  const other = solve(job, 8);
  test.each([
    ['another hash', { hash: other.hash }],
    ['another parent', { job: { ...job, parent: '11'.repeat(32) } }],
    ['another target', { job: { ...job, nbits: 0x1d00ffff } }],
    ['another merkle root', { coinbase: other.coinbase }],
    ['another merkle root', { job: { ...job, merkleBranch: job.merkleBranch.slice(1) } }],
    ['truncated', { header: solution.header.slice(2) }],
  ])('refuses parts that do not fit: %s', (reason, change) => {
    const assembly = assembleSolution({ ...solution, ...change }, body);
    expect(assembly.kind === 'refused' && assembly.reason).toContain(reason);
  });
  test('a body of another job is a bug of ours', () => {
    expect(() => assembleSolution(solution, undefined)).toThrow(AssertionError);
  });
});

suite('proposalOf()', () => {
  test('is the block of a miner with zeros', () => {
    const { job, body } = make(payments);
    const block = parseBlock(bytesFromHex(proposalOf(job, body)));
    expect(merkleRoot(block.transactions.map(({ txid }) => txid))).toEqual(block.header.merkleRoot);
    expect([block.header.nonce, block.header.ntime]).toEqual([0, job.curtime]);
  });
});
