/**
 * Whole public blocks, rebuilt byte for byte by the code that makes ours: from template-like parts to a job, from the job
 * and a solution to header and coinbase, from those to the block. Our own devchain is not asked here.
 */
import { describe, expect, test } from 'vitest';
import { parseBlock } from '#libs/bitcoin/block.ts';
import { encodeHeight } from '#libs/bitcoin/height.ts';
import { bytesFromHex, hexFromBytes } from '#libs/bitcoin/hex.ts';
import { witnessRoot } from '#libs/bitcoin/merkle.ts';
import { displayFromInternal } from '#libs/bitcoin/prevhash.ts';
import {
  findWitnessCommitment,
  witnessCommitmentScript,
} from '#libs/bitcoin/witness-commitment.ts';
import type { CoinbaseLayout, Job } from '#libs/contracts/job.ts';
import { hashShare, prepareJob, solvedCoinbase } from '#libs/mining/share-hash.ts';
import { assembleSolution } from '#services/jobmanager/core/assemble-block.ts';
import { buildFullJob } from '#services/jobmanager/core/build-job.ts';
import type { Template } from '#services/jobmanager/core/model.ts';
import { readBody } from '#services/jobmanager/core/template-body.ts';
import vectors from '#test/vectors/public-blocks.json' with { type: 'json' };

/** The coinbase of the block as a layout, with the last bytes of its scriptSig but two taken for the extranonces. */
function dissect(block: ReturnType<typeof parseBlock>) {
  const coinbase = block.transactions[0];
  const input = coinbase?.inputs[0];
  const [paying, ...extra] = coinbase?.outputs ?? [];
  if (coinbase === undefined || input === undefined || paying === undefined)
    throw new Error('no coinbase');
  const { scriptSig } = input;
  const [size1, size2] = scriptSig.length > 20 ? [4, 8] : [1, 4];
  const at = scriptSig.length - 2 - size1 - size2;
  const layout: CoinbaseLayout = {
    version: coinbase.version,
    scriptSigHead: hexFromBytes(scriptSig.subarray(0, at)),
    extranonce1Size: size1,
    extranonce2Size: size2,
    scriptSigTail: hexFromBytes(scriptSig.subarray(-2)),
    sequence: input.sequence,
    valueSat: Number(paying.valueSat),
    poolScript: hexFromBytes(paying.script),
    feeBasisPoints: 0,
    extraOutputs: extra.map(({ valueSat, script }) => ({
      valueSat: Number(valueSat),
      script: hexFromBytes(script),
    })),
    lockTime: coinbase.lockTime,
  };
  const extranonce1 = scriptSig.subarray(at, at + size1);
  const extranonce2 = scriptSig.subarray(at + size1, at + size1 + size2);
  return { coinbase, layout, extranonce1, extranonce2, scriptSig };
}

function templateOf(
  block: ReturnType<typeof parseBlock>,
  height: number,
  layout: CoinbaseLayout,
): Template {
  return {
    version: block.header.version,
    vbrequired: 0,
    previousblockhash: displayFromInternal(block.header.prevhash),
    transactions: block.transactions.slice(1).map(({ raw, txid, wtxid }) => ({
      data: hexFromBytes(raw),
      txid: displayFromInternal(txid),
      hash: displayFromInternal(wtxid),
    })),
    coinbaseaux: {},
    coinbasevalue: layout.valueSat,
    mintime: block.header.ntime - 1,
    curtime: block.header.ntime,
    bits: block.header.nbits.toString(16),
    height: Math.max(1, height), // The genesis block came from no template.
    default_witness_commitment: layout.extraOutputs[0]?.script,
  };
}

const SETTINGS = {
  chain: 'btc',
  versionMask: 0x1fff_e000,
  poolScript: '51',
  tag: '',
  feeBasisPoints: 0,
  extranonce1Size: 4,
  extranonce2Size: 8,
};

describe.each(vectors.blocks)('$name', ({ hex, height, hash }) => {
  const block = parseBlock(bytesFromHex(hex));
  const { layout, extranonce1, extranonce2 } = dissect(block);

  test('is rebuilt byte for byte from template-like parts', () => {
    const template = templateOf(block, height, layout);
    const { body } = readBody(template, new Map());
    const job: Job = {
      ...buildFullJob(template, body?.bodyId ?? null, SETTINGS),
      coinbase: layout,
    };
    const prepared = prepareJob(job, 'sha256d');
    const { ntime, nonce, version } = block.header;
    const solution = { extranonce1, extranonce2, ntime, nonce, version };
    const share = hashShare(prepared, solution);
    expect(displayFromInternal(share.identity)).toBe(hash);
    expect(share.powNumber <= prepared.networkTarget).toBe(true);
    const assembly = assembleSolution(
      {
        hash,
        header: hexFromBytes(share.header),
        coinbase: hexFromBytes(solvedCoinbase(prepared, solution)),
        job,
      },
      body,
    );
    expect(assembly).toEqual({ kind: 'block', hex });
  });
});

describe.each(vectors.blocks.filter(({ height }) => height > 481_824))(
  '$name',
  ({ hex, height }) => {
    const block = parseBlock(bytesFromHex(hex));
    const { coinbase, layout, scriptSig } = dissect(block);

    test('its scriptSig begins with its height (BIP 34)', () => {
      expect(hexFromBytes(scriptSig)).toMatch(new RegExp(`^${hexFromBytes(encodeHeight(height))}`));
    });

    test('its witness commitment is the one of its transactions (BIP 141)', () => {
      const root = witnessRoot(block.transactions.slice(1).map(({ wtxid }) => wtxid));
      expect(layout.extraOutputs[0]?.script).toBe(hexFromBytes(witnessCommitmentScript(root)));
      expect(findWitnessCommitment(coinbase)).toBeDefined();
    });
  },
);
