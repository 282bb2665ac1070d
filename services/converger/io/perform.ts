/** Performs steps by a driver. The one place where a failed step becomes `retry`. */
import type { Logger } from 'pino';
import type { Step, StepResult } from '../core/step.ts';
import type { Driver } from './drivers/driver.ts';

/** One handler per kind of step; a new kind does not compile until it has one. */
export type StepHandlers = {
  readonly [Kind in Step['kind']]: (step: Extract<Step, { kind: Kind }>) => Promise<StepResult>;
};

/** @param onDraining told before an instance is asked to drain, so that the next observation knows it */
export function driverHandlers(driver: Driver, onDraining: (name: string) => void): StepHandlers {
  return {
    start_instance: async ({ group, name }) =>
      (await driver.start(group, name)) === 'started' ? 'done' : 'retry',
    drain_instance: async ({ name }) => {
      onDraining(name);
      await driver.stop(name, 'drain');
      return 'done';
    },
    kill_instance: async ({ name }) => {
      await driver.stop(name, 'kill');
      return 'done';
    },
    forget_instance: async ({ name }) => {
      await driver.forget(name);
      return 'done';
    },
    wait: async () => 'retry',
  };
}

/** Performs one step. Anything a handler throws means `retry`: the next iteration looks again. */
export async function perform(
  step: Step,
  handlers: StepHandlers,
  log: Logger,
): Promise<StepResult> {
  try {
    // The table pairs each kind with its own handler; the compiler cannot follow that through the union.
    const handle = handlers[step.kind] as (step: Step) => Promise<StepResult>;
    return await handle(step);
  } catch (error) {
    log.warn({ step, err: error }, 'step failed');
    return 'retry';
  }
}
