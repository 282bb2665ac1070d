import { expect, test } from 'vitest';
import { runSeed } from './run.ts';

/** `SEAM_SIM_SEEDS=5000 vitest run test/sim` for a long run; `SEAM_SIM_FROM` for other seeds. */
const SEEDS = Number(process.env['SEAM_SIM_SEEDS'] ?? 60);
const FROM = Number(process.env['SEAM_SIM_FROM'] ?? 1);

test(`${SEEDS} seeds of trouble: every answer once, in order and right, and the books balance`, async () => {
  const found: string[] = [];
  for (let seed = FROM; seed < FROM + SEEDS; seed += 1) {
    const { problems } = await runSeed(seed);
    if (problems.length > 0) found.push(`npm run sim -- ${seed}   # ${problems.join(' | ')}`);
  }
  expect(found.join('\n')).toBe('');
}, 3_600_000);

test('a seed replays to the last word', async () => {
  const [first, second]: [string[], string[]] = [[], []];
  await runSeed(7, (text) => void first.push(text.replaceAll(/[0-9a-f]{32}/g, 'id'))); // Session ids are random.
  await runSeed(7, (text) => void second.push(text.replaceAll(/[0-9a-f]{32}/g, 'id')));
  expect(second).toEqual(first);
});
