/** Every contract of `libs/contracts`, found by looking: a new file is in the docs and in the tests at once. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Rpc, subjectOf, type Topic } from '#libs/contracts/define.ts';

export interface FoundContract {
  readonly subject: string;
  /** From the repository's root. */
  readonly file: string;
  readonly contract: Topic | Rpc;
  /** The comment at the head of its file, without its marks. */
  readonly comment: string;
}

const ROOT = join(import.meta.dirname, '..', '..');
const FOLDER = 'libs/contracts';

/** All contracts, by subject. */
export async function findContracts(): Promise<readonly FoundContract[]> {
  const names = (await readdir(join(ROOT, FOLDER))).filter((name) => /^[a-z-]+\.ts$/.test(name));
  const found = await Promise.all(names.map((name) => contractsOf(`${FOLDER}/${name}`)));
  return found.flat().toSorted((a, b) => a.subject.localeCompare(b.subject));
}

async function contractsOf(file: string): Promise<readonly FoundContract[]> {
  const path = join(ROOT, file);
  const exported: Record<string, unknown> = await import(pathToFileURL(path).href);
  const comment = headComment(await readFile(path, 'utf8'));
  return Object.values(exported)
    .filter(isContract)
    .map((contract) => ({ subject: subjectOf(contract), file, contract, comment }));
}

function isContract(value: unknown): value is Topic | Rpc {
  if (typeof value !== 'object' || value === null || !('kind' in value)) return false;
  return value.kind === 'topic' || value.kind === 'rpc';
}

function headComment(source: string): string {
  const [, inside = ''] = /^\/\*\*([\s\S]*?)\*\//.exec(source) ?? [];
  return inside.replaceAll(/^\s*\* ?/gm, '').trim();
}
