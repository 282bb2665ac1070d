/** How many files and sockets this process may have open. */
import { readFile } from 'node:fs/promises';

/** What Linux gives a process by default, where it cannot be read. */
const USUAL = 1_024;

/** The soft limit of open descriptors. */
export async function descriptorLimit(): Promise<number> {
  const text = await readFile('/proc/self/limits', 'utf8').catch(() => '');
  const [, soft] = /^Max open files\s+(\d+|unlimited)/m.exec(text) ?? [];
  if (soft === undefined) return USUAL;
  return soft === 'unlimited' ? Number.MAX_SAFE_INTEGER : Number(soft);
}
