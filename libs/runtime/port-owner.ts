/** Who has a taken port, as far as /proc lets us see. */
import { readdir, readFile, readlink } from 'node:fs/promises';

/** Such as `haproxy (pid 123)`. */
export async function ownerOfPort(port: number): Promise<string> {
  const inode = await inodeOfListener(port);
  if (inode === undefined) return 'another process';
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    if (await hasSocket(pid, inode)) {
      const name = await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => 'a process');
      return `${name.trim()} (pid ${pid})`;
    }
  }
  return 'a process of another user';
}

async function inodeOfListener(port: number): Promise<string | undefined> {
  const hexPort = port.toString(16).toUpperCase().padStart(4, '0');
  for (const table of ['/proc/net/tcp', '/proc/net/tcp6']) {
    const lines = (await readFile(table, 'utf8').catch(() => '')).split('\n').slice(1);
    for (const line of lines) {
      const [, local = '', , state, , , , , , inode] = line.trim().split(/\s+/);
      if (local.endsWith(`:${hexPort}`) && state === '0A') return inode; // 0A: LISTEN.
    }
  }
  return undefined;
}

async function hasSocket(pid: string, inode: string): Promise<boolean> {
  const names = await readdir(`/proc/${pid}/fd`).catch(() => []);
  for (const name of names) {
    const target = await readlink(`/proc/${pid}/fd/${name}`).catch(() => '');
    if (target === `socket:[${inode}]`) return true;
  }
  return false;
}
