/** One thing the plan wants done. A step is data: it can be logged, counted, limited, compared. */
import type { GroupName } from './model.ts';

export type Step =
  | { readonly kind: 'forget_instance'; readonly group: GroupName; readonly name: string }
  | { readonly kind: 'start_instance'; readonly group: GroupName; readonly name: string }
  | { readonly kind: 'drain_instance'; readonly group: GroupName; readonly name: string }
  | {
      readonly kind: 'kill_instance';
      readonly group: GroupName;
      readonly name: string;
      readonly reason: 'sick' | 'drain_timeout';
    }
  | { readonly kind: 'wait'; readonly group: GroupName; readonly reason: string };

/** How a step ended. `retry` means the next iteration looks again. */
export type StepResult = 'done' | 'retry';

/** What a step does to capacity, for the limits of an iteration. */
export function capacityChangeOf(step: Step): number {
  switch (step.kind) {
    case 'start_instance':
      return 1;
    case 'drain_instance':
    case 'kill_instance':
      return -1;
    case 'forget_instance':
    case 'wait':
      return 0;
  }
}
