/** Names of workers: as a miner sends them, and as they stand in the books. */
import { parsePassword } from '#libs/stratum/password.ts';
import { parseUsername, type Username } from '#libs/stratum/username.ts';
import type { SessionWorker } from './model.ts';

/** A worker of a capsule: its name was valid when it was authorised. */
export function workerOf(username: string): SessionWorker {
  const parsed = parseUsername(splitOptions(username).name);
  return { username, name: parsed.kind === 'valid' ? bookName(parsed.username) : username };
}

/**
 * Options of a password may stand behind the name, `address.rig,d=512`: rental services have no other place for them. What
 * is no option belongs to the name.
 */
export function splitOptions(username: string): {
  readonly name: string;
  readonly options: string;
} {
  const at = username.search(/[,;]/);
  const options = at === -1 ? '' : username.slice(at + 1);
  const isOption = Object.values(parsePassword(options)).some((value) => value !== undefined);
  return isOption ? { name: username.slice(0, at), options } : { name: username, options: '' };
}

/**
 * One address, one account: bech32 may be written in upper case as well (BIP 173), and means the same. Base58 is never all
 * upper case but for a freak, and then only its name in the books is.
 */
export function bookName({ address, worker, name }: Username): string {
  if (address !== address.toUpperCase()) return name;
  const lower = address.toLowerCase();
  return worker === '' ? lower : `${lower}.${worker}`;
}
