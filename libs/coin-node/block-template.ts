/**
 * The answer of getblocktemplate (BIP 22, 23, 145; Litecoin's `mweb`): strict about every field a block is made of,
 * tolerant of the rest, bounded in everything.
 */
import { z } from 'zod';
import { sat, uint32 } from '#libs/contracts/define.ts';

/** [chars] hex of the largest serialized transaction a block of 4 000 000 weight units can hold. */
const HEX_CHARS_MAX = 8_000_000;
/** A transaction has 60 bytes at least, so that a 4 MB block cannot hold more. */
const TRANSACTIONS_MAX = 70_000;
const NAMES_MAX = 64;

/** `z.string().regex()` with a repeated group takes 300 ms for 8 MB; looking for one bad character takes 5. */
const bigHex = z
  .string()
  .min(2)
  .max(HEX_CHARS_MAX)
  .refine((text) => text.length % 2 === 0 && !/[^0-9a-f]/.test(text), 'must be lower-case hex');
const hash = z.string().regex(/^[0-9a-f]{64}$/, 'must be 32 bytes of hex');
const name = z.string().max(64);

const templateTransaction = z.object({
  data: bigHex.describe('Serialized with witness, as it goes into the block'),
  txid: hash.describe('Display byte order; what the merkle tree is made of'),
  hash: hash.describe('wtxid, display byte order'),
  fee: z.int().optional().describe('[sat] Litecoin gives none for a HogEx'),
  sigops: z.int().min(0).optional(),
  weight: z.int().min(0).optional().describe('[weight units] BIP 141'),
});

export const blockTemplate = z
  .object({
    version: z
      .int()
      .min(-0x8000_0000)
      .max(0xffff_ffff)
      .transform((version) => version >>> 0)
      .describe('As an unsigned number'),
    rules: z
      .array(name)
      .max(NAMES_MAX)
      .default([])
      .describe('Active deployments; `!`: must be understood'),
    vbrequired: uint32.default(0).describe('Version bits that must stay set (BIP 9)'),
    previousblockhash: hash.describe('Display byte order'),
    transactions: z.array(templateTransaction).max(TRANSACTIONS_MAX),
    coinbaseaux: z.record(z.string().max(64), z.string().max(256)).default({}),
    coinbasevalue: sat.describe('[sat] subsidy and all fees'),
    longpollid: z.string().min(1).max(512).optional(),
    target: hash.describe('Display byte order'),
    mintime: uint32.describe('[s]'),
    curtime: uint32.describe('[s]'),
    bits: z
      .string()
      .regex(/^[0-9a-f]{8}$/)
      .describe('Compact target'),
    height: z.int().min(1).max(0x7fff_ffff).describe('[blocks] of the block to be mined'),
    sizelimit: z.int().min(1).optional().describe('[bytes]'),
    weightlimit: z.int().min(1).optional().describe('[weight units]'),
    sigoplimit: z.int().min(1).optional(),
    default_witness_commitment: z
      .string()
      .max(256)
      .regex(/^6a24aa21a9ed[0-9a-f]{64}/, 'must be a witness commitment script')
      .optional()
      .describe('Script of the commitment output, to be used verbatim (BIP 145)'),
    mweb: bigHex.optional().describe('Litecoin: the MWEB block, appended to the serialized block'),
    signet_challenge: z.string().max(20_000).optional(),
  })
  .check(({ value, issues }) => {
    const unknown = value.rules.filter(
      (rule) => rule.startsWith('!') && !isKnownRule(rule.slice(1)),
    );
    // BIP 9: a template with a `!` rule the miner does not know must not be mined on.
    if (unknown.length > 0) {
      issues.push({
        code: 'custom',
        input: value.rules,
        path: ['rules'],
        message: `unknown mandatory rules ${unknown.join(', ')}`,
      });
    }
    if (value.signet_challenge !== undefined) {
      issues.push({
        code: 'custom',
        input: undefined,
        path: ['signet_challenge'],
        message: 'signet blocks need a signature',
      });
    }
  });

/** What getblocktemplate returned, checked. Field names are the RPC's own. */
export type BlockTemplate = z.infer<typeof blockTemplate>;
export type TemplateTransaction = BlockTemplate['transactions'][number];

function isKnownRule(rule: string): boolean {
  return ['csv', 'segwit', 'taproot', 'mweb', 'testdummy'].includes(rule);
}
