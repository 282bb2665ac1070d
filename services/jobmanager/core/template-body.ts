/** The body of a template: its transactions as bytes, named by their content. */
import { createHash } from 'node:crypto';
import { bytesFromHex } from '#libs/bitcoin/hex.ts';
import type { Template, TemplateBody } from './model.ts';

const ID_BYTES = 16;

/** Bytes of transactions by wtxid: templates that follow each other share nearly all of them. */
export type KnownTransactions = ReadonlyMap<string, Uint8Array>;

export interface ReadBody {
  /** Undefined: the block is its coinbase alone. */
  readonly body: TemplateBody | undefined;
  /** The transactions of this template by wtxid, for the next one. */
  readonly known: KnownTransactions;
}

/** Id of a body: whoever reads one back can prove that it is whole. */
export function bodyIdOf(
  transactions: readonly Uint8Array[],
  mweb: Uint8Array | undefined,
): string {
  const hash = createHash('sha256');
  for (const transaction of transactions) hash.update(transaction); // A transaction tells its own length.
  if (mweb !== undefined) hash.update(Uint8Array.of(1)).update(mweb);
  return hash.digest('hex').slice(0, ID_BYTES * 2);
}

/**
 * The body of a template.
 *
 * @param known of the template before; its arrays are taken over, so that unchanged transactions exist once
 */
export function readBody(template: Template, known: KnownTransactions): ReadBody {
  const transactions = template.transactions.map(
    ({ hash, data }) => known.get(hash) ?? bytesFromHex(data),
  );
  const wtxids = template.transactions.map(({ hash }) => hash);
  const next = new Map(transactions.map((bytes, index) => [wtxids[index] ?? '', bytes]));
  const mweb = template.mweb === undefined ? undefined : bytesFromHex(template.mweb);
  if (transactions.length === 0 && mweb === undefined) return { body: undefined, known: next };
  return { body: { bodyId: bodyIdOf(transactions, mweb), transactions, mweb }, known: next };
}
