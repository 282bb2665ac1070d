/** Bytes of a block to a {@link Block}. Bounded by what libs/bitcoin accepts. */
import { parseBlock as parse } from '#libs/bitcoin/block.ts';
import { WireError } from '#libs/bitcoin/errors.ts';
import { blockHashOf } from '#libs/bitcoin/header.ts';
import type { Block } from './model.ts';

/** @throws {WireError} for anything but a whole block without MWEB */
export function parseBlock(raw: Uint8Array): Block {
  const { header, headerBytes, transactions, opaque } = parse(raw);
  if (opaque.length > 0) throw new WireError('opaque_mweb', 0, 'devchain has no MWEB');
  return { hash: blockHashOf(headerBytes), raw, headerBytes, header, transactions };
}
