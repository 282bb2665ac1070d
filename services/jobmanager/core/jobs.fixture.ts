/** Templates of a real node, jobs made of them, and a miner for regtest targets. */
import vectors from '#test/vectors/templates.json' with { type: 'json' };
import { chainParams } from '#libs/bitcoin/chains.ts';
import { powHash, sha256d } from '#libs/bitcoin/hash.ts';
import { blockHashOf, encodeHeader } from '#libs/bitcoin/header.ts';
import { bytesFromHex, hexFromBytes } from '#libs/bitcoin/hex.ts';
import { rootFromBranch } from '#libs/bitcoin/merkle.ts';
import { internalFromDisplay } from '#libs/bitcoin/prevhash.ts';
import { meetsTarget, targetFromNbits } from '#libs/bitcoin/target.ts';
import { blockTemplate, type BlockTemplate } from '#libs/coin-node/block-template.ts';
import type { BlockSubmit } from '#libs/contracts/block-submit.ts';
import type { Job } from '#libs/contracts/job.ts';
import { coinbaseOf } from '#libs/mining/coinbase-layout.ts';
import { buildFullJob } from './build-job.ts';
import type { JobSettings, Template, TemplateBody } from './model.ts';
import { readBody } from './template-body.ts';

/** Height 151 of litecoin regtest: ten payments, 25 LTC and their fees. */
export const payments: BlockTemplate = blockTemplate.parse(vectors.payments);
/** Height 432 of litecoin regtest: a peg-in, the HogEx, MWEB. */
export const withMweb: BlockTemplate = blockTemplate.parse(vectors.mweb);
/** The same height 151 without any transaction. */
export const without: BlockTemplate = {
  ...payments,
  transactions: [],
  coinbasevalue: 2_500_000_000,
  default_witness_commitment:
    '6a24aa21a9ede2f61c3f71d1defd3fa999dfa36953755c690689799962b48bebd836974e8cf9',
};

export const params = chainParams('litecoin', 'regtest');

export const settings: JobSettings = {
  chain: 'ltc',
  versionMask: params.versionMask,
  poolScript: '001424a02aee660534107b03658f27cde36d36ff7c8a',
  tag: '/Seam/',
  feeBasisPoints: 0,
  extranonce1Size: 4,
  extranonce2Size: 8,
};

export interface Made {
  readonly job: Job;
  readonly body: TemplateBody | undefined;
}

export function make(template: Template, overrides: Partial<JobSettings> = {}): Made {
  const { body } = readBody(template, new Map());
  const job = buildFullJob(template, body?.bodyId ?? null, { ...settings, ...overrides });
  return { job, body };
}

/** Solves a job as a miner would: regtest targets take a few tries. */
export function solve(job: Job, extranonce2 = 7, algorithm = params.algorithm): BlockSubmit {
  const { extranonce1Size, extranonce2Size } = job.coinbase;
  const extranonces = [new Uint8Array(extranonce1Size), new Uint8Array(extranonce2Size)] as const;
  extranonces[1][0] = extranonce2;
  const coinbase = coinbaseOf(job.coinbase, ...extranonces);
  const parts = {
    version: job.version,
    prevhash: internalFromDisplay(job.parent),
    merkleRoot: rootFromBranch(sha256d(coinbase), job.merkleBranch.map(bytesFromHex)),
    ntime: job.curtime,
    nbits: job.nbits,
  };
  const target = targetFromNbits(job.nbits);
  for (let nonce = 0; nonce < 10_000; nonce += 1) {
    const header = encodeHeader({ ...parts, nonce });
    if (!meetsTarget(powHash(algorithm, header), target)) continue;
    return {
      chain: job.chain,
      hash: blockHashOf(header),
      header: hexFromBytes(header),
      coinbase: hexFromBytes(coinbase),
      job,
      worker: 'somebody.rig',
      foundMs: job.curtime * 1_000,
    };
  }
  throw new Error(`Cannot solve job ${job.jobId}: its target is not one of regtest`);
}
