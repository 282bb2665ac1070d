/** Regtest addresses for devchain, where coins are not real: from random hashes, so nobody has the key. */
import { Address } from '@scure/btc-signer/payment.js';
import { chainParams } from '#libs/bitcoin/chains.ts';

/** A P2WPKH address on Bitcoin's regtest. @param hash 20 bytes */
export function regtestAddress(hash: Uint8Array): string {
  const { bech32Hrp, pubKeyHash, scriptHash } = chainParams('bitcoin', 'regtest');
  return Address({
    bech32: bech32Hrp,
    pubKeyHash,
    scriptHash: scriptHash[0] ?? 0,
    wif: 0xef,
  }).encode({ type: 'wpkh', hash });
}
