/** `seam chaos`: kills, stops and freezes every kind of process behind the frontends while a fleet of miners checks every answer. */
import { ensurePrograms, HAPROXY, REDIS } from '../debian-packages.ts';
import { CommandError, EXIT, progress } from '../terminal.ts';

export async function chaos(options: {
  readonly minutes: string;
  readonly miners: string;
  readonly seed: string;
}): Promise<void> {
  const [minutes, miners, seed] = [options.minutes, options.miners, options.seed].map(Number);
  if (
    minutes === undefined ||
    miners === undefined ||
    seed === undefined ||
    [minutes, miners, seed].some((value) => !Number.isFinite(value) || value < 0)
  ) {
    throw new CommandError(
      'Cannot run chaos: --minutes, --miners and --seed must be numbers from 0 on',
      EXIT.usage,
    );
  }
  await ensurePrograms([REDIS, HAPROXY]);
  const { runChaos } = await import('#test/chaos/run.ts');
  progress('scenario | s | accepted | stale | blocks | disconnects | p50 ms | p99 ms | faults');
  const { problems } = await runChaos({ minutes, miners, seed, say: progress });
  for (const problem of problems) progress(`PROBLEM ${problem}`);
  if (problems.length > 0)
    throw new CommandError(`${problems.length} problems; the same order again: --seed ${seed}`);
  progress('nobody noticed anything');
}
