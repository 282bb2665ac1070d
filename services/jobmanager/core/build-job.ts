/** From a template to jobs: what miners hash is decided here. */
import { assert } from '#libs/assert.ts';
import { concatBytes } from '#libs/bitcoin/bytes.ts';
import { encodeHeight } from '#libs/bitcoin/height.ts';
import { hexFromBytes } from '#libs/bitcoin/hex.ts';
import { merkleBranch } from '#libs/bitcoin/merkle.ts';
import { internalFromDisplay } from '#libs/bitcoin/prevhash.ts';
import { emptyWitnessCommitmentScript } from '#libs/bitcoin/witness-commitment.ts';
import type { CoinbaseLayout, Job } from '#libs/contracts/job.ts';
import { jobIdOf } from '#libs/mining/job-id.ts';
import type { JobSettings, Template } from './model.ts';

/** BIP 54: anything but 0xffffffff. */
const SEQUENCE = 0xffff_fffe;
const COINBASE_VERSION = 2;
/** [bytes] Consensus bound of a coinbase's scriptSig. */
const SCRIPT_SIG_BYTES_MAX = 100;
/** [bytes] The largest push that needs no opcode but its length. */
const PUSH_BYTES_MAX = 75;

/** What differs between the full and the empty job of a template. */
interface Content {
  readonly valueSat: number;
  /** Script hex of the witness commitment; undefined: none. */
  readonly commitment: string | undefined;
  readonly merkleBranch: readonly string[];
  readonly bodyId: string | null;
}

/** The job with everything the template has. @param bodyId of the template's body; null: it has none */
export function buildFullJob(
  template: Template,
  bodyId: string | null,
  settings: JobSettings,
): Job {
  const txids = template.transactions.map(({ txid }) => internalFromDisplay(txid));
  return buildJob(template, settings, {
    valueSat: template.coinbasevalue,
    commitment: template.default_witness_commitment, // BIP 145: verbatim.
    merkleBranch: merkleBranch(txids).map(hexFromBytes),
    bodyId,
  });
}

/**
 * The job of a block that is its coinbase alone: it needs no body, so it can be announced first.
 *
 * @returns undefined if there is no such block (Litecoin's MWEB wants its HogEx), if the fees are not known, or if the
 * template is empty anyway
 */
export function buildEmptyJob(template: Template, settings: JobSettings): Job | undefined {
  const { transactions, mweb, coinbasevalue } = template;
  if (transactions.length === 0 || mweb !== undefined) return undefined;
  let valueSat = coinbasevalue;
  for (const { fee } of transactions) {
    if (fee === undefined) return undefined;
    valueSat -= fee;
  }
  if (valueSat < 0) return undefined; // The node's fees do not fit its value: trust neither.
  const hasCommitment = template.default_witness_commitment !== undefined;
  return buildJob(template, settings, {
    valueSat,
    commitment: hasCommitment ? hexFromBytes(emptyWitnessCommitmentScript()) : undefined,
    merkleBranch: [],
    bodyId: null,
  });
}

function buildJob(template: Template, settings: JobSettings, content: Content): Job {
  const { height, previousblockhash, curtime, mintime, bits, version, vbrequired } = template;
  const versionMask = (settings.versionMask & ~vbrequired) >>> 0;
  const fields = {
    chain: settings.chain,
    height,
    parent: previousblockhash,
    // Miners replace, OR or XOR their bits into the version: all agree only if ours are zero.
    version: ((version & ~versionMask) | vbrequired) >>> 0,
    versionMask,
    nbits: Number.parseInt(bits, 16),
    curtime: Math.max(curtime, mintime),
    mintime,
    coinbase: layoutOf(template, settings, content),
    merkleBranch: [...content.merkleBranch],
    bodyId: content.bodyId,
  };
  return { jobId: jobIdOf(fields), ...fields };
}

function layoutOf(template: Template, settings: JobSettings, content: Content): CoinbaseLayout {
  const { commitment, valueSat } = content;
  const { extranonce1Size, extranonce2Size, poolScript, feeBasisPoints } = settings;
  const extranonceBytes = extranonce1Size + extranonce2Size;
  const head = scriptSigHead(template.height, extranonceBytes);
  const roomBytes = SCRIPT_SIG_BYTES_MAX - head.length - extranonceBytes;
  return {
    version: COINBASE_VERSION,
    scriptSigHead: hexFromBytes(head),
    extranonce1Size,
    extranonce2Size,
    scriptSigTail: hexFromBytes(scriptSigTail(settings.tag, template.coinbaseaux, roomBytes)),
    sequence: SEQUENCE,
    valueSat,
    poolScript,
    feeBasisPoints,
    extraOutputs: commitment === undefined ? [] : [{ valueSat: 0, script: commitment }],
    lockTime: template.height - 1, // BIP 54.
  };
}

/**
 * BIP 34's height, and the opcode that makes the extranonce a push: without it its bytes would count as opcodes, some
 * as signature operations, of which a full block has none left.
 */
function scriptSigHead(height: number, extranonceBytes: number): Uint8Array {
  assert(extranonceBytes <= PUSH_BYTES_MAX, 'the extranonce is one short push');
  return concatBytes(encodeHeight(height), Uint8Array.of(extranonceBytes));
}

/** The pool's tag, then what the node asks to be put there (BIP 22 `coinbaseaux`), as far as there is room. */
function scriptSigTail(
  tag: string,
  aux: Readonly<Record<string, string>>,
  roomBytes: number,
): Uint8Array {
  const asked = Object.values(aux).filter((hex) => /^([0-9a-f]{2})+$/i.test(hex));
  const items = [Buffer.from(tag, 'ascii'), ...asked.map((hex) => Buffer.from(hex, 'hex'))];
  let tail = new Uint8Array();
  for (const item of items) {
    const isFit = item.length <= PUSH_BYTES_MAX && tail.length + 1 + item.length <= roomBytes;
    if (item.length > 0 && isFit) tail = Uint8Array.of(...tail, item.length, ...item);
  }
  return tail;
}
