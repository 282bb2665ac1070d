/** Addresses: which script they stand for, and why one is refused. */
import { Address, OutScript } from '@scure/btc-signer/payment.js';
import { type ChainParams, CHAINS } from './chains.ts';

export type AddressKind = 'pkh' | 'sh' | 'wpkh' | 'wsh' | 'tr';

export type AddressScript =
  | { readonly kind: 'script'; readonly script: Uint8Array; readonly addressKind: AddressKind }
  | { readonly kind: 'refused'; readonly reason: string };

/** [characters] The longest are MWEB addresses, which we refuse by name. */
const ADDRESS_LENGTH_MAX = 128;

interface Decoded {
  readonly script: Uint8Array;
  readonly type: string;
}

function decodeWith(address: string, params: ChainParams, scriptHash: number): Decoded | undefined {
  const { bech32Hrp, pubKeyHash } = params;
  try {
    const decoded = Address({ bech32: bech32Hrp, pubKeyHash, scriptHash, wif: 0x80 }).decode(
      address,
    );
    return { script: OutScript.encode(decoded), type: decoded.type };
  } catch {
    return undefined; // Not an address of this network: the caller finds out why.
  }
}

function decodeOn(address: string, params: ChainParams): Decoded | undefined {
  for (const scriptHash of params.scriptHash) {
    const decoded = decodeWith(address, params, scriptHash);
    if (decoded !== undefined) return decoded;
  }
  return undefined;
}

function isMwebAddress(address: string): boolean {
  const lower = address.toLowerCase();
  return CHAINS.some(({ mwebHrp }) => mwebHrp !== undefined && lower.startsWith(`${mwebHrp}1`));
}

function nameOf({ chain, network }: ChainParams): string {
  return network === 'main' ? chain : `${chain} ${network}`;
}

function refusalOf(address: string, params: ChainParams): string {
  const own = nameOf(params);
  if (isMwebAddress(address))
    return `MWEB addresses cannot be paid by a coinbase: use another kind of ${own} address`;
  const homes = CHAINS.filter((other) => decodeOn(address, other) !== undefined).map(nameOf);
  if (homes.length > 0) return `this is an address of ${homes.join(' or ')}, not of ${own}`;
  return `this is not an address of ${own}: wrong characters, length or checksum`;
}

/**
 * The output script of an address: P2PKH, P2SH, P2WPKH, P2WSH or P2TR.
 *
 * @param address from a person, so anything; a bad one is a value with a reason that may be shown
 */
export function scriptFromAddress(address: string, params: ChainParams): AddressScript {
  if (address.length === 0 || address.length > ADDRESS_LENGTH_MAX)
    return { kind: 'refused', reason: `an address has 1 to ${ADDRESS_LENGTH_MAX} characters` };
  const decoded = decodeOn(address, params);
  switch (decoded?.type) {
    case 'pkh':
    case 'sh':
    case 'wpkh':
    case 'wsh':
    case 'tr':
      return { kind: 'script', script: decoded.script, addressKind: decoded.type };
    case undefined:
      return { kind: 'refused', reason: refusalOf(address, params) };
    default: // Pay to anchor: anyone can spend it.
      return { kind: 'refused', reason: `addresses of the kind ${decoded?.type} cannot be paid` };
  }
}
