/** `seam test`: everything CI runs, no more, no less. Ends with one line: `N passed, N failed, N skipped`. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Reporter, TestCase, TestModule } from 'vitest/node';
import {
  ensurePrograms,
  HAPROXY,
  installMissing,
  LITECOIND,
  type Program,
  REDIS,
} from '../debian-packages.ts';
import { ROOT } from '../run-folder.ts';
import { EXIT, progress } from '../terminal.ts';

interface Gate {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
}

const bin = (name: string) => join(ROOT, 'node_modules', '.bin', name);

/** What is checked before the tests, whole tree each. */
const GATES: readonly Gate[] = [
  { name: 'format', command: bin('biome'), args: ['format', '.'] },
  { name: 'types', command: bin('tsc'), args: ['-p', '.'] },
  { name: 'lint', command: bin('oxlint'), args: ['--type-aware', '--quiet', '.'] },
  { name: 'layers', command: process.execPath, args: ['tools/tidy.ts'] },
  { name: 'docs', command: process.execPath, args: ['tools/docs/main.ts', '--check'] },
];

/** Programs some tests want: without them those tests are skipped, and say so. */
const WANTED: readonly Program[] = [LITECOIND];

interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

export async function test(paths: readonly string[]): Promise<void> {
  await ensurePrograms([REDIS, HAPROXY]);
  await installMissing(WANTED);
  const counts: Counts = { passed: 0, failed: 0, skipped: 0 };
  if (paths.length === 0) for (const gate of GATES) await runGate(gate, counts);
  await runVitest(paths, counts);
  process.stdout.write(
    `\n${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped\n`,
  );
  process.exit(counts.failed === 0 ? EXIT.ok : EXIT.failed);
}

async function runGate({ name, command, args }: Gate, counts: Counts): Promise<void> {
  progress(`${name} ...`);
  const child = spawn(command, args, { cwd: ROOT, stdio: ['ignore', 'inherit', 'inherit'] });
  const [code] = await once(child, 'exit');
  if (code === 0) counts.passed += 1;
  else {
    counts.failed += 1;
    progress(`${name} FAILED`);
  }
}

async function runVitest(paths: readonly string[], counts: Counts): Promise<void> {
  const { startVitest } = await import('vitest/node');
  const counter = new CountingReporter(counts);
  const vitest = await startVitest('test', [...paths], {
    root: ROOT,
    watch: false,
    reporters: [process.stdout.isTTY ? 'default' : 'default', counter],
  });
  await vitest.close();
}

/** Counts test cases, and says of each skipped one why. */
class CountingReporter implements Reporter {
  readonly #counts: Counts;

  constructor(counts: Counts) {
    this.#counts = counts;
  }

  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]): void {
    const skipped: string[] = [];
    for (const module of modules) {
      const cases = [...module.children.allTests()];
      for (const one of cases) this.#count(one, skipped);
      // A file that cannot be loaded, or whose beforeAll threw, has no failed case, and is a failure of its own.
      const hasFailed = cases.some((one) => one.result().state === 'failed');
      if (module.state() === 'failed' && !hasFailed) this.#counts.failed += 1;
    }
    this.#counts.failed += errors.length;
    for (const line of skipped) process.stdout.write(`skipped: ${line}\n`);
  }

  #count(one: TestCase, skipped: string[]): void {
    const result = one.result();
    if (result.state === 'passed') this.#counts.passed += 1;
    else if (result.state === 'failed') this.#counts.failed += 1;
    else {
      this.#counts.skipped += 1;
      const note = result.state === 'skipped' ? result.note : undefined;
      skipped.push(
        `${one.module.relativeModuleId} > ${one.fullName}: ${note ?? 'its name says why'}`,
      );
    }
  }
}
