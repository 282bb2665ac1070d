/** Spelling of ids. */

/** Display order of a hash in internal order: lower-case hex, reversed. */
export function txidOf(internal: Uint8Array): string {
  return Buffer.from(internal).reverse().toString('hex');
}
