/** House rules as a test: who may import whom, what pure code may not touch, and that Notes exist. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';

const ROOT = join(import.meta.dirname, '..');
const DOMAIN = 'libs/(bitcoin|stratum|mining)/|libs/assert\\.ts|node:crypto$|node:buffer$|@scure/';

interface Layer {
  readonly files: RegExp;
  /** What an import may begin with; `SELF` is the file's own service folder. */
  readonly mayImport: string;
}

/** A file belongs to the first row whose pattern matches its path. */
const LAYERS: readonly Layer[] = [
  { files: /\.(test|fixture|bench)\.ts$|-contract\.ts$|^(test|tools|deploy)\//, mayImport: '' },
  { files: /^libs\/(bitcoin|stratum|mining)\/|^libs\/assert\.ts$/, mayImport: DOMAIN },
  { files: /^libs\/contracts\//, mayImport: `libs/contracts/|${DOMAIN}|zod$` },
  { files: /^libs\//, mayImport: 'libs/|node:|[a-z@]' },
  {
    files: /^services\/[^/]+\/core\//,
    mayImport: `SELF/core/|${DOMAIN}|libs/(contracts|link/items|journal/record|assert)`,
  },
  { files: /^services\//, mayImport: '(?!services/|test/|tools/|haproxy/)|SELF/' },
  { files: /^haproxy\//, mayImport: '(?!services/|test/|tools/)|haproxy/' },
  { files: /./, mayImport: '' },
];

const PURE = /^(libs\/(bitcoin|stratum|mining)|services\/[^/]+\/core)\//;
const IMPURE =
  /\b(Date\.now\(|Math\.random\(|process\.(env|hrtime)|performance\.now\(|setTimeout\(|setInterval\(|await )/;
const RUNTIME_ONLY = /\b(Date\.now\(|Math\.random\(|process\.env\b)/;

function isTest(file: string): boolean {
  return /\.(test|fixture|bench)\.ts$|-contract\.ts$|^(test|tools|deploy)\//.test(file);
}

function codeOf(text: string): string {
  return text
    .replace(/\/\*[\s\S]*?\*\//g, (comment) => comment.replace(/[^\n]/g, ' '))
    .replace(/(^|\s)\/\/.*$/gm, '$1');
}

/** The path an import names, from the root; packages and `node:` stay as they are. */
function importedPath(file: string, specifier: string): string {
  if (specifier.startsWith('#')) return specifier.slice(1);
  if (specifier.startsWith('.')) return normalize(join(dirname(file), specifier));
  return specifier;
}

function* importsOf(file: string, code: string): Generator<string> {
  for (const [, specifier] of code.matchAll(
    /(?:^|\n)\s*(?:import|export)\b[^'";]*?from\s*'([^']+)'/g,
  )) {
    if (specifier !== undefined) yield importedPath(file, specifier);
  }
  for (const [, specifier] of code.matchAll(/(?:^|\n)\s*import\s*'([^']+)'/g)) {
    if (specifier !== undefined) yield importedPath(file, specifier);
  }
}

function problemsOfImports(file: string, code: string): string[] {
  const layer = LAYERS.find((row) => row.files.test(file));
  if (layer === undefined || layer.mayImport === '') return [];
  const self = file.split('/').slice(0, 2).join('/');
  const allowed = new RegExp(`^(?:${layer.mayImport.replaceAll('SELF', self)})`);
  return [...importsOf(file, code)]
    .filter((path) => !allowed.test(path))
    .map((path) => `${file}: may not import ${path}`);
}

function problemsOf(file: string, text: string): string[] {
  const code = codeOf(text);
  const problems = problemsOfImports(file, code);
  if (!isTest(file)) {
    code.split('\n').forEach((line, index) => {
      if (PURE.test(file) && IMPURE.test(line))
        problems.push(`${file}:${index + 1}: pure code touches the world: ${line.trim()}`);
      else if (!file.startsWith('libs/runtime/') && RUNTIME_ONLY.test(line))
        problems.push(`${file}:${index + 1}: only libs/runtime may do this: ${line.trim()}`);
    });
  }
  if (/(^|\/)index\.ts$/.test(file))
    problems.push(`${file}: no barrels: an import names the file that owns the thing`);
  if (
    !/^[a-z0-9-]+(\.(test|prop\.test|fixture|bench|config|d))*\.tsx?$/.test(
      file.split('/').at(-1) ?? '',
    )
  )
    problems.push(`${file}: file names are kebab-case`);
  return problems;
}

function problemsOfNotes(texts: ReadonlyMap<string, string>): string[] {
  const all = [...texts.values()].join('\n');
  return [...texts].flatMap(([file, text]) =>
    [...text.matchAll(/See Note \[([^\]]+)\]/gi)]
      .filter(([, name]) => !new RegExp(`(?<![Ss]ee )Note \\[${name}\\]\\s*\\n`).test(all))
      .map(([, name]) => `${file}: Note [${name}] does not exist`),
  );
}

/** All problems of the tree; empty when it is tidy. */
export function tidy(): string[] {
  const listed = execFileSync('git', ['ls-files', '-co', '--exclude-standard', '*.ts', '*.tsx'], {
    cwd: ROOT,
    encoding: 'utf8',
  });
  const files = listed.split('\n').filter((file) => file !== '' && existsSync(join(ROOT, file)));
  const texts = new Map(files.map((file) => [file, readFileSync(join(ROOT, file), 'utf8')]));
  return [
    ...[...texts].flatMap(([file, text]) => problemsOf(file, text)),
    ...problemsOfNotes(texts),
  ];
}

if (import.meta.main) {
  const problems = tidy();
  for (const problem of problems) console.error(problem);
  process.exitCode = problems.length === 0 ? 0 : 1;
}
