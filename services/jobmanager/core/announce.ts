/** When to announce, and with which template. */
import type { Job } from '#libs/contracts/job.ts';
import type { Template } from './model.ts';

/** What a template that arrived unasked is good for. */
export type Arrival =
  /** Its parent is not the one we mine on: announce at once. */
  | 'new_block'
  /** Newer transactions: they go out with the next refresh. */
  | 'keep';

export function judgeArrival(template: Template, current: Job | undefined): Arrival {
  return template.previousblockhash === current?.parent ? 'keep' : 'new_block';
}

/**
 * The template to refresh with when no node gives a fresh one: the last one, its clock moved on. Undefined once
 * no node confirmed the tip for too long: work on it may be worthless.
 */
export function ageTemplate(
  template: Template,
  ageMs: number,
  tipAgeMs: number,
  staleWorkMs: number,
): Template | undefined {
  if (tipAgeMs >= staleWorkMs) return undefined;
  return { ...template, curtime: template.curtime + Math.floor(Math.max(0, ageMs) / 1_000) };
}

/** A job needs a new id (miners ignore one they know): one second later is other content. */
export function withLaterClock(template: Template): Template {
  return { ...template, curtime: Math.max(template.curtime, template.mintime) + 1 };
}
