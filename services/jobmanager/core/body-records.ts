/** Bytes of bodies at rest: records one after another, each its length (u32 little-endian) and its bytes. */
import { concatBytes, uint32Le } from '#libs/bitcoin/bytes.ts';
import { WireError } from '#libs/bitcoin/errors.ts';
import { Reader } from '#libs/bitcoin/reader.ts';
import type { TemplateBody } from './model.ts';
import { bodyIdOf } from './template-body.ts';

/** Everything of a body in order: its transactions, then its MWEB part. */
export function itemsOf({ transactions, mweb }: TemplateBody): readonly Uint8Array[] {
  return mweb === undefined ? transactions : [...transactions, mweb];
}

export function encodeRecords(items: readonly Uint8Array[]): Uint8Array {
  return concatBytes(...items.flatMap((item) => [uint32Le(item.length), item]));
}

/** The whole records, as views; a torn end is what a writer is just writing, and is left out. */
export function readRecords(bytes: Uint8Array): Uint8Array[] {
  const reader = new Reader(bytes);
  const records: Uint8Array[] = [];
  try {
    while (reader.remaining > 0) records.push(reader.take(reader.uintLe(4)));
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
  }
  return records;
}

/** A body from its items. @returns undefined if they are not what its id names */
export function bodyFromItems(
  bodyId: string,
  items: readonly Uint8Array[],
  hasMweb: boolean,
): TemplateBody | undefined {
  const mweb = hasMweb ? items.at(-1) : undefined;
  const transactions = hasMweb ? items.slice(0, -1) : items;
  return bodyIdOf(transactions, mweb) === bodyId ? { bodyId, transactions, mweb } : undefined;
}
