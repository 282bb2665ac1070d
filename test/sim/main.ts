/**
 * Replays seeds: `node test/sim/main.ts 123` one with its trace, `node test/sim/main.ts 1-2000` many without. Exit 1 if
 * anything was found.
 */
import { type Report, runSeed } from './run.ts';

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

function byName([a]: readonly [string, number], [b]: readonly [string, number]): number {
  return a < b ? -1 : 1;
}

function show({ seed, problems, counts }: Report): void {
  for (const [what, times] of [...counts].toSorted(byName))
    print(`${String(times).padStart(7)} ${what}`);
  print(problems.length === 0 ? `seed ${seed}: nothing found` : `seed ${seed} FAILED`);
  for (const problem of problems) print(`  ${problem}`);
}

async function many(from: number, to: number): Promise<boolean> {
  const sums = new Map<string, number>();
  let failed = 0;
  for (let seed = from; seed <= to; seed += 1) {
    const { problems, counts } = await runSeed(seed);
    for (const [what, times] of counts) sums.set(what, (sums.get(what) ?? 0) + times);
    if (problems.length === 0) continue;
    failed += 1;
    print(`seed ${seed} FAILED: ${problems[0]} (and ${problems.length - 1} more)`);
  }
  sums.delete('longest wait for an answer [ms]');
  for (const [what, times] of [...sums].toSorted(byName))
    print(`${String(times).padStart(9)} ${what}`);
  print(`${to - from + 1} seeds, ${failed} failed`);
  return failed === 0;
}

const [from = 1, to] = (process.argv[2] ?? '').split('-').map(Number);
if (to === undefined) {
  const report = await runSeed(from, print);
  show(report);
  process.exitCode = report.problems.length === 0 ? 0 : 1;
} else process.exitCode = (await many(from, to)) ? 0 : 1;
