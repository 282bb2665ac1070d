/**
 * Whether a transaction may spend what it spends: coins exist, are mature and worth enough, and every input proves its
 * right. The only script that can be spent here is P2WPKH with SIGHASH_ALL, verified by OpenSSL with our own BIP 143
 * digest, while the wallet signs with @scure/btc-signer: neither can be wrong alone.
 */
import { createHash, createPublicKey, verify } from 'node:crypto';
import { equalBytes, uint32Le, uint64Le } from '#libs/bitcoin/bytes.ts';
import { encodeCompactSize } from '#libs/bitcoin/compact-size.ts';
import { sha256d } from '#libs/bitcoin/hash.ts';
import type { ParsedTransaction, TransactionInput } from '#libs/bitcoin/transaction.ts';
import { type Coin, type CoinView, MEMPOOL_HEIGHT, outpointKey } from './model.ts';
import { COINBASE_MATURITY, MONEY_MAX } from './parameters.ts';
import { txidOf } from './txid.ts';

export type Spend =
  | { readonly isValid: true; readonly feeSat: bigint; readonly spent: readonly SpentCoin[] }
  | { readonly isValid: false; readonly reason: string };

export interface SpentCoin {
  readonly outpoint: string;
  readonly coin: Coin;
}

/** What a spend is judged by besides the coins. */
export interface SpendPlace {
  /** [blocks] of the block the transaction is in or would be in next */
  readonly height: number;
  /** [s] median time past of that block's parent */
  readonly medianTimePast: number;
  /** [s] median time past of the block before the one at `height`; for relative lock times. */
  readonly medianTimeBefore: (height: number) => number;
  /** False when reading back what was verified before. */
  readonly verifiesScripts: boolean;
}

const SIGHASH_ALL = 1;
const SCRIPT_FAILED = 'mandatory-script-verify-flag-failed';

/** BIP 68 */
const SEQUENCE_DISABLED = 0x8000_0000;
const SEQUENCE_IS_TIME = 0x0040_0000;
const SEQUENCE_MASK = 0xffff;
const SEQUENCE_GRANULARITY = 9;

/** SPKI wrapping of a compressed secp256k1 key: ecPublicKey, secp256k1, 33 bytes. */
const SPKI_HEAD = Buffer.from('3036301006072a8648ce3d020106052b8104000a032200', 'hex');

/** @param transaction any but a coinbase */
export function checkSpend(
  transaction: ParsedTransaction,
  view: CoinView,
  place: SpendPlace,
): Spend {
  const spent = coinsOf(transaction, view);
  if (spent === undefined) return refuse('bad-txns-inputs-missingorspent');
  if (spent.some(({ coin }) => isImmature(coin, place.height))) {
    return refuse('bad-txns-premature-spend-of-coinbase');
  }
  const inSat = spent.reduce((sum, { coin }) => sum + coin.valueSat, 0n);
  const outSat = transaction.outputs.reduce((sum, { valueSat }) => sum + valueSat, 0n);
  if (inSat > MONEY_MAX) return refuse('bad-txns-inputvalues-outofrange');
  if (inSat < outSat) return refuse('bad-txns-in-belowout');
  if (!keepsRelativeLocks(transaction, spent, place)) return refuse('bad-txns-nonfinal');
  const problem = place.verifiesScripts ? checkScripts(transaction, spent) : undefined;
  if (problem !== undefined) return refuse(`${SCRIPT_FAILED} (${problem})`);
  return { isValid: true, feeSat: inSat - outSat, spent };
}

function refuse(reason: string): Spend {
  return { isValid: false, reason };
}

function coinsOf(transaction: ParsedTransaction, view: CoinView): SpentCoin[] | undefined {
  const spent: SpentCoin[] = [];
  for (const { prevTxid, prevIndex } of transaction.inputs) {
    const outpoint = outpointKey(txidOf(prevTxid), prevIndex);
    const coin = view.coin(outpoint);
    if (coin === undefined) return undefined;
    spent.push({ outpoint, coin });
  }
  return spent;
}

function isImmature(coin: Coin, height: number): boolean {
  return coin.isCoinbase && height - coin.height < COINBASE_MATURITY;
}

/** BIP 68 */
function keepsRelativeLocks(
  transaction: ParsedTransaction,
  spent: readonly SpentCoin[],
  place: SpendPlace,
): boolean {
  if (transaction.version < 2) return true;
  return transaction.inputs.every(({ sequence }, index) => {
    if ((sequence & SEQUENCE_DISABLED) !== 0) return true;
    const made = spent[index]?.coin.height ?? MEMPOOL_HEIGHT;
    const lock = sequence & SEQUENCE_MASK;
    if (made === MEMPOOL_HEIGHT) return lock === 0;
    if ((sequence & SEQUENCE_IS_TIME) === 0) return place.height >= made + lock;
    return place.medianTimePast >= place.medianTimeBefore(made) + (lock << SEQUENCE_GRANULARITY);
  });
}

function checkScripts(
  transaction: ParsedTransaction,
  spent: readonly SpentCoin[],
): string | undefined {
  const shared = sharedDigests(transaction);
  for (const [index, input] of transaction.inputs.entries()) {
    const coin = spent[index]?.coin;
    if (coin === undefined) return 'no coin';
    const problem = checkWitnessKeyHash(transaction, input, coin, shared);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

function checkWitnessKeyHash(
  transaction: ParsedTransaction,
  input: TransactionInput,
  coin: Coin,
  shared: SharedDigests,
): string | undefined {
  if (!isWitnessKeyHash(coin.script)) return 'devchain spends P2WPKH only';
  if (input.scriptSig.length > 0) return 'Witness requires empty scriptSig';
  const [signature, publicKey] = input.witness;
  if (input.witness.length !== 2 || signature === undefined || publicKey === undefined) {
    return 'Witness program hash mismatch';
  }
  if (publicKey.length !== 33) return 'Using non-compressed keys in segwit';
  const keyHash = hash160(publicKey);
  if (!equalBytes(keyHash, coin.script.subarray(2))) return 'Witness program hash mismatch';
  if (signature.at(-1) !== SIGHASH_ALL) return 'devchain knows SIGHASH_ALL only';
  const preimage = bip143Preimage(transaction, input, coin, keyHash, shared);
  return isSignature(preimage, publicKey, signature.subarray(0, -1))
    ? undefined
    : 'Signature must be zero for failed CHECK(MULTI)SIG operation';
}

/** OP_0 and a push of 20 bytes. */
export function isWitnessKeyHash(script: Uint8Array): boolean {
  return script.length === 22 && script[0] === 0 && script[1] === 20;
}

export function hash160(bytes: Uint8Array): Uint8Array {
  return createHash('ripemd160').update(createHash('sha256').update(bytes).digest()).digest();
}

interface SharedDigests {
  readonly prevouts: Uint8Array;
  readonly sequences: Uint8Array;
  readonly outputs: Uint8Array;
}

function sharedDigests({ inputs, outputs }: ParsedTransaction): SharedDigests {
  return {
    prevouts: sha256d(
      Buffer.concat(inputs.flatMap((input) => [input.prevTxid, uint32Le(input.prevIndex)])),
    ),
    sequences: sha256d(Buffer.concat(inputs.map(({ sequence }) => uint32Le(sequence)))),
    outputs: sha256d(
      Buffer.concat(
        outputs.flatMap(({ valueSat, script }) => [
          uint64Le(valueSat),
          encodeCompactSize(script.length),
          script,
        ]),
      ),
    ),
  };
}

/** @see BIP 143, "Specification" */
function bip143Preimage(
  transaction: ParsedTransaction,
  input: TransactionInput,
  coin: Coin,
  keyHash: Uint8Array,
  shared: SharedDigests,
): Uint8Array {
  return Buffer.concat([
    uint32Le(transaction.version),
    shared.prevouts,
    shared.sequences,
    input.prevTxid,
    uint32Le(input.prevIndex),
    Uint8Array.of(0x19, 0x76, 0xa9, 0x14),
    keyHash,
    Uint8Array.of(0x88, 0xac),
    uint64Le(coin.valueSat),
    uint32Le(input.sequence),
    shared.outputs,
    uint32Le(transaction.lockTime),
    uint32Le(SIGHASH_ALL),
  ]);
}

function isSignature(preimage: Uint8Array, publicKey: Uint8Array, signature: Uint8Array): boolean {
  try {
    const key = createPublicKey({
      key: Buffer.concat([SPKI_HEAD, publicKey]),
      format: 'der',
      type: 'spki',
    });
    // OpenSSL hashes once more: the digest of BIP 143 is a double SHA-256.
    return verify('sha256', createHash('sha256').update(preimage).digest(), key, signature);
  } catch {
    return false; // Not a point of the curve, or not a DER signature.
  }
}
