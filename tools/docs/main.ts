/** `npm run docs`: writes the generated references; `--check` fails where one is out of date. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { busReference } from './bus-reference.ts';
import { configReference } from './config-reference.ts';

const ROOT = join(import.meta.dirname, '..', '..');

/** Each generated file with what it should say; `undefined` parts of a file are written by hand. */
const REFERENCES: readonly {
  readonly path: string;
  readonly render: (current: string) => string | Promise<string>;
}[] = [
  { path: 'docs/bus.md', render: busReference },
  { path: 'docs/config.md', render: configReference },
];

async function main(isCheck: boolean): Promise<number> {
  let stale = 0;
  for (const { path, render } of REFERENCES) {
    const file = join(ROOT, path);
    const current = readOr(file, '');
    const wanted = await render(current);
    if (current === wanted) continue;
    if (isCheck) {
      stale += 1;
      console.error(`${path} is out of date: run npm run docs`);
    } else writeFileSync(file, wanted);
  }
  return stale;
}

function readOr(file: string, otherwise: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return otherwise; // Not generated yet.
  }
}

if (import.meta.main)
  process.exitCode = (await main(process.argv.includes('--check'))) === 0 ? 0 : 1;
