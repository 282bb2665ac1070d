/**
 * A group wants to be looked at. converger (its API or observer) -> the converger that owns the group, key: empty.
 *
 * A hint: desired state stands in Redis, and the sweep finds what a lost message would have told.
 */
import { z } from 'zod';
import { defineTopic, type MessageOf } from './define.ts';

export const groupChanged = defineTopic(
  'group.changed',
  1,
  z.object({
    group: z.string().min(1).max(64),
    cause: z.string().max(128).describe('Why, for the log, such as "api: desired 3"'),
  }),
);
export type GroupChanged = MessageOf<typeof groupChanged>;
