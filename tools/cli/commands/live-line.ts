/** One line that lives while `seam up` is in the foreground: what the pool does now. */
import { poolView } from '#libs/contracts/public-api.ts';
import { callEdge } from '../operator-api.ts';
import type { RunFolder } from '../run-folder.ts';
import { formatHashrate } from '../terminal.ts';

const EVERY_MS = 1_000;

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
    const { chains, miners } = poolView.parse(
      await callEdge(folder, 'http', { path: '/api/v1/pool' }),
    );
    const each = chains.map(({ chain, hashrateHps, totals, height, blocks, isReal }) => {
      const last =
        blocks[0] === undefined ? '' : `  last block ${blocks[0].height ?? '?'} ${blocks[0].state}`;
      const name = isReal ? chain : `${chain} (not real coins)`;
      return `${name}: ${formatHashrate(hashrateHps['1m'])}  ${totals.shares + totals.soloShares} shares  height ${height ?? '?'}${last}`;
    });
    return `${miners.connected} miners   ${each.join('   ')}`;
  } catch {
    return 'waiting for a reporter ...';
  }
}
