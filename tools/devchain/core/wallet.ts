/** The owner of the premine: makes the transactions that templates are filled with. Its key is public. */
import { createHash } from 'node:crypto';
import { p2wpkh } from '@scure/btc-signer';
import { Transaction } from '@scure/btc-signer/transaction.js';
import { pubECDSA } from '@scure/btc-signer/utils.js';
import type { Coin } from './model.ts';

/** Anybody can spend the premine: these are not real coins. */
const KEY = createHash('sha256').update('seam devchain premine').digest();
const PAYMENT = p2wpkh(pubECDSA(KEY));
/** Replaceable, and without a relative lock time (BIP 125, BIP 68). */
const SEQUENCE = 0xffff_fffd;

export const WALLET_SCRIPT: Uint8Array = PAYMENT.script;

export interface WalletInput {
  readonly txid: string;
  readonly index: number;
  readonly coin: Coin;
}

/**
 * A signed transaction that spends `inputs` back to the wallet, in `outputCount` equal parts less the fee.
 *
 * @param feeSat [sat] less than the inputs are worth
 * @returns its bytes, with witnesses
 */
export function signSpend(
  inputs: readonly WalletInput[],
  outputCount: number,
  feeSat: bigint,
): Uint8Array {
  const totalSat = inputs.reduce((sum, { coin }) => sum + coin.valueSat, 0n) - feeSat;
  const partSat = totalSat / BigInt(outputCount);
  const transaction = new Transaction({ version: 2 });
  for (const { txid, index, coin } of inputs) {
    transaction.addInput({
      txid,
      index,
      sequence: SEQUENCE,
      witnessUtxo: { script: coin.script, amount: coin.valueSat },
    });
  }
  for (let part = 0; part < outputCount; part += 1) {
    const amount = part === 0 ? totalSat - partSat * BigInt(outputCount - 1) : partSat;
    transaction.addOutput({ script: PAYMENT.script, amount });
  }
  transaction.sign(KEY);
  transaction.finalize();
  return transaction.extract();
}
