/** `seam logs`: output of the processes of a run folder. */
import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { runFolder } from '../run-folder.ts';
import { CommandError } from '../terminal.ts';

export async function logs(
  name: string | undefined,
  options: { readonly runDir?: string; readonly follow?: boolean },
): Promise<void> {
  const folder = runFolder(options.runDir);
  const files = (await readdir(folder.logs).catch(() => []))
    .filter((file) => file.endsWith('.log'))
    .toSorted();
  const chosen = name === undefined ? files : files.filter((file) => file === `${name}.log`);
  if (chosen.length === 0)
    throw new CommandError(
      `Cannot show ${name ?? 'logs'}: there are ${files.map((file) => file.slice(0, -4)).join(', ') || 'none'}`,
    );
  const paths = chosen.map((file) => join(folder.logs, file)).filter((path) => existsSync(path));
  const tail = spawn('tail', ['-n', '100', ...(options.follow === true ? ['-F'] : []), ...paths], {
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  await once(tail, 'exit');
}
