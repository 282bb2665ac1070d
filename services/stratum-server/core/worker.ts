/** Names of workers: as a miner sends them, and as they stand in the books. */
import { parseUsername, type Username } from '#libs/stratum/username.ts';
import type { SessionWorker } from './model.ts';

/** A worker of a capsule: its name was valid when it was authorised. */
export function workerOf(username: string): SessionWorker {
  const parsed = parseUsername(username);
  return { username, name: parsed.kind === 'valid' ? bookName(parsed.username) : username };
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
