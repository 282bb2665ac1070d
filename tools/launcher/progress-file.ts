/** How the launcher tells whoever started it how far it is: a file of JSON lines, new at each start. */
import { appendFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';

const progressLine = z.union([
  z.object({ text: z.string() }),
  z.object({ ready: z.literal(true) }),
  z.object({ failed: z.string(), exitCode: z.int() }),
]);
export type ProgressLine = z.infer<typeof progressLine>;

function pathIn(runDir: string): string {
  return join(runDir, 'launcher.progress');
}

export function beginProgress(runDir: string): (line: ProgressLine) => void {
  writeFileSync(pathIn(runDir), '');
  return (line) => appendFileSync(pathIn(runDir), `${JSON.stringify(line)}\n`);
}

/** Before a launcher is started: what an earlier one told is not about this one. */
export function forgetProgress(runDir: string): void {
  rmSync(pathIn(runDir), { force: true });
}

/** All whole lines so far. */
export function readProgress(runDir: string): readonly ProgressLine[] {
  const lines = readFileSync(pathIn(runDir), 'utf8').split('\n').slice(0, -1);
  return lines.map((line) => progressLine.parse(JSON.parse(line)));
}
