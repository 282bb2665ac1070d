/** One line that lives while `seam up` is in the foreground: what the pool does now. */
import { z } from 'zod';
import { callEdge } from '../operator-api.ts';
import type { RunFolder } from '../run-folder.ts';
import { formatHashrate } from '../terminal.ts';

const EVERY_MS = 1_000;

const poolView = z.object({
  chains: z.array(
    z
      .object({
        chain: z.string(),
        miners: z.number(),
        hashrateHps: z.object({ '1m': z.number() }).loose(),
        shares: z.number(),
        blocks: z.number(),
      })
      .loose(),
  ),
});

/** Redraws until aborted; on something that is no terminal, stays silent. */
export async function liveLine(folder: RunFolder, signal: AbortSignal): Promise<void> {
  if (!process.stderr.isTTY) return;
  while (!signal.aborted) {
    const text = await describe(folder);
    process.stderr.write(`\r\x1b[K${text}`);
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, EVERY_MS);
      signal.addEventListener(
        'abort',
        () => {
          clearTimeout(timer);
          resolve(undefined);
        },
        { once: true },
      );
    });
  }
  process.stderr.write('\n');
}

async function describe(folder: RunFolder): Promise<string> {
  try {
    const { chains } = poolView.parse(await callEdge(folder, 'http', { path: '/api/v1/pool' }));
    return chains
      .map(
        ({ chain, miners, hashrateHps, shares, blocks }) =>
          `${chain}: ${miners} miners  ${formatHashrate(hashrateHps['1m'])}  ${shares} shares  ${blocks} blocks`,
      )
      .join('   ');
  } catch {
    return 'waiting for a reporter ...';
  }
}
