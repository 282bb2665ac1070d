/**
 * The coinbase transaction without witness, as stratum cuts it: coinb1 | extranonce1 | extranonce2 | coinb2.
 *
 * Outputs come in this order: in `pool` the pool's address; in `solo` the owner's first, then the pool's fee; then the
 * extra ones (the witness commitment). In both they lie wholly in coinb2, so that a miner sees in the notify who is paid.
 */
import { concatBytes, uint32Le, uint64Le } from '#libs/bitcoin/bytes.ts';
import { encodeCompactSize } from '#libs/bitcoin/compact-size.ts';
import { bytesFromHex } from '#libs/bitcoin/hex.ts';
import type { MinableCoinbase } from './job.ts';

/** [bytes] bounds of a coinbase's scriptSig, a consensus rule */
const SCRIPT_SIG_BYTES_MIN = 2;
const SCRIPT_SIG_BYTES_MAX = 100;
const BASIS_POINTS = 10_000n;

const NULL_TXID = new Uint8Array(32);

interface Output {
  readonly valueSat: bigint;
  readonly script: Uint8Array;
}

/** Everything before extranonce1. @throws {RangeError} if the scriptSig would not have 2 to 100 bytes */
export function coinb1Of(layout: MinableCoinbase): Uint8Array {
  const head = bytesFromHex(layout.scriptSigHead);
  return concatBytes(
    uint32Le(layout.version),
    encodeCompactSize(1),
    NULL_TXID,
    uint32Le(0xffff_ffff),
    encodeCompactSize(scriptSigBytes(layout)),
    head,
  );
}

/**
 * Everything after extranonce2.
 *
 * @param ownerScript in `solo` the script of whoever owns the connection; without it everything goes to the pool
 */
export function coinb2Of(layout: MinableCoinbase, ownerScript?: Uint8Array): Uint8Array {
  const outputs = outputsOf(layout, ownerScript);
  return concatBytes(
    bytesFromHex(layout.scriptSigTail),
    uint32Le(layout.sequence),
    encodeCompactSize(outputs.length),
    ...outputs.map(encodeOutput),
    uint32Le(layout.lockTime),
  );
}

/** The whole coinbase without witness: its double hash is its txid. */
export function coinbaseOf(
  layout: MinableCoinbase,
  extranonce1: Uint8Array,
  extranonce2: Uint8Array,
  ownerScript?: Uint8Array,
): Uint8Array {
  // Only the sum counts: a miner that can do 4 bytes only has its extranonce1 padded.
  if (extranonce1.length + extranonce2.length !== layout.extranonce1Size + layout.extranonce2Size) {
    throw new RangeError(
      `Cannot build coinbase: extranonces have ${extranonce1.length} and ${extranonce2.length} bytes`,
    );
  }
  return concatBytes(coinb1Of(layout), extranonce1, extranonce2, coinb2Of(layout, ownerScript));
}

/** The pool's part of `valueSat` in `solo`, rounded down. [sat] */
export function poolFeeSat(layout: Pick<MinableCoinbase, 'valueSat' | 'feeBasisPoints'>): bigint {
  return (BigInt(layout.valueSat) * BigInt(layout.feeBasisPoints)) / BASIS_POINTS;
}

function outputsOf(layout: MinableCoinbase, ownerScript: Uint8Array | undefined): Output[] {
  const extra = layout.extraOutputs.map(({ valueSat, script }) => ({
    valueSat: BigInt(valueSat),
    script: bytesFromHex(script),
  }));
  return [...payingOutputs(layout, ownerScript), ...extra];
}

function payingOutputs(layout: MinableCoinbase, ownerScript: Uint8Array | undefined): Output[] {
  const poolScript = bytesFromHex(layout.poolScript);
  const valueSat = BigInt(layout.valueSat);
  if (ownerScript === undefined) return [{ valueSat, script: poolScript }];
  const feeSat = poolFeeSat(layout);
  const owner = { valueSat: valueSat - feeSat, script: ownerScript };
  return feeSat === 0n ? [owner] : [owner, { valueSat: feeSat, script: poolScript }];
}

function encodeOutput({ valueSat, script }: Output): Uint8Array {
  return concatBytes(uint64Le(valueSat), encodeCompactSize(script.length), script);
}

function scriptSigBytes(layout: MinableCoinbase): number {
  const hexChars = layout.scriptSigHead.length + layout.scriptSigTail.length;
  const bytes = hexChars / 2 + layout.extranonce1Size + layout.extranonce2Size;
  if (bytes < SCRIPT_SIG_BYTES_MIN || bytes > SCRIPT_SIG_BYTES_MAX) {
    throw new RangeError(
      `Cannot build coinbase as its scriptSig must have 2..100 bytes: it has ${bytes}`,
    );
  }
  return bytes;
}
