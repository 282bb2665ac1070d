/** The coinbase output that commits to the witnesses of a block. */
import { concatBytes, equalBytes } from './bytes.ts';
import { sha256d } from './hash.ts';
import { witnessRoot } from './merkle.ts';
import type { Transaction } from './transaction.ts';

/** OP_RETURN, push of 36 bytes, 0xaa21a9ed. */
const PREFIX = Uint8Array.of(0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed);
const SCRIPT_BYTES = 38;

/** The reserved value we put into the witness of every coinbase. */
export const WITNESS_RESERVED = new Uint8Array(32);

/**
 * Script of the commitment output.
 *
 * @param root witness root, 32 bytes, internal order
 * @see BIP 141, "Commitment structure"
 */
export function witnessCommitmentScript(
  root: Uint8Array,
  reserved: Uint8Array = WITNESS_RESERVED,
): Uint8Array {
  return concatBytes(PREFIX, sha256d(concatBytes(root, reserved)));
}

/** Script of the commitment of a block that is its coinbase alone. */
export function emptyWitnessCommitmentScript(): Uint8Array {
  return witnessCommitmentScript(witnessRoot([]));
}

/** The commitment script a coinbase carries: the last one that looks like one counts. Undefined: none. */
export function findWitnessCommitment(coinbase: Transaction): Uint8Array | undefined {
  return coinbase.outputs.findLast(
    ({ script }) =>
      script.length >= SCRIPT_BYTES && equalBytes(script.subarray(0, PREFIX.length), PREFIX),
  )?.script;
}
