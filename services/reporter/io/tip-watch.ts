/** What each chain is mining now, heard from the jobmanagers: for progress and difficulty on the pages. */
import type { Bus } from '#libs/bus/bus.ts';
import { jobAnnounced } from '#libs/contracts/job-announced.ts';
import type { Tip } from '../core/views.ts';

export interface TipWatch extends Disposable {
  /** Undefined until a job was heard, at most one refresh (25 s) after the start. */
  tip(chain: string): Tip | undefined;
}

export function watchTips(bus: Pick<Bus, 'subscribe'>, chains: readonly string[]): TipWatch {
  const tips = new Map<string, Tip>();
  const subscriptions = new DisposableStack();
  for (const chain of chains)
    subscriptions.use(
      bus.subscribe(jobAnnounced, chain, ({ job }) => {
        tips.set(chain, { height: job.height, nbits: job.nbits });
      }),
    );
  return {
    tip: (chain) => tips.get(chain),
    [Symbol.dispose]: () => subscriptions.dispose(),
  };
}
