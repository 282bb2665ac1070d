/** Usernames: `address[.worker]` or `address[_worker]`. Whether the address is one is libs/bitcoin's question. */

export interface Username {
  readonly address: string;
  /** '' if the name is the address alone */
  readonly worker: string;
  /** `address` or `address.worker`: how the worker stands in the books, whatever the separator was. */
  readonly name: string;
}

export type UsernameParse =
  | { readonly kind: 'valid'; readonly username: Username }
  | { readonly kind: 'invalid'; readonly detail: string };

/** [chars] no address of a chain we know is longer; with separator and worker at most 191 */
const ADDRESS_CHARS_MAX = 127;
/** [chars] Avalon truncates names at 63. */
const WORKER_CHARS_MAX = 63;
const ADDRESS = /^[0-9A-Za-z:]+$/;
const PRINTABLE = /^[\x21-\x7e]*$/;

export function parseUsername(text: string): UsernameParse {
  const trimmed = text.trim();
  const separatorAt = trimmed.search(/[._]/);
  const address = separatorAt === -1 ? trimmed : trimmed.slice(0, separatorAt);
  const worker = separatorAt === -1 ? '' : trimmed.slice(separatorAt + 1);
  if (address === '') return invalid('username must be address[.worker]');
  if (address.length > ADDRESS_CHARS_MAX) return invalid('address is too long');
  if (!ADDRESS.test(address)) return invalid('address has characters that no address has');
  if (worker.length > WORKER_CHARS_MAX)
    return invalid(`worker name is longer than ${WORKER_CHARS_MAX}`);
  if (!PRINTABLE.test(worker)) return invalid('worker name is not printable ASCII');
  const name = worker === '' ? address : `${address}.${worker}`;
  return { kind: 'valid', username: { address, worker, name } };
}

function invalid(detail: string): UsernameParse {
  return { kind: 'invalid', detail };
}
