/** A service of one line, started as `node run-process.fixture.ts`: what `run()` does is all it does. */
import { setTimeout as sleep } from 'node:timers/promises';
import { run } from './run.ts';

/** [ms] long enough to be seen draining */
const DRAIN_MS = 300;

if (import.meta.main)
  await run({
    role: 'reporter',
    async start(context) {
      const { bus, log } = context;
      context.setReady(true);
      return {
        async drain() {
          log.info({ peers: bus.peers.length }, 'draining');
          await sleep(DRAIN_MS);
        },
        async [Symbol.asyncDispose]() {
          log.info('disposed');
        },
      };
    },
  });
