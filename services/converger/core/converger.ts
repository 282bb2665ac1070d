/** What a converger is to whoever tells it, and what one iteration was. */
import type { Desired, GroupName, Observed } from './model.ts';
import type { Step, StepResult } from './step.ts';

/** One iteration: gathered, planned, limited, performed. Kept for people to look at. */
export interface Iteration {
  readonly group: GroupName;
  readonly atMs: number;
  readonly causes: readonly string[];
  readonly desired: Desired;
  readonly observed: Observed;
  readonly planned: readonly Step[];
  readonly performed: readonly { readonly step: Step; readonly result: StepResult }[];
}

/** Told by API and observer; does exactly one iteration a call, and contains no loop of its own. */
export interface Converger {
  converge(group: GroupName, causes: readonly string[]): Promise<Iteration>;
}
