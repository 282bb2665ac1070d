/**
 * An instance joins, changes state or leaves. every process -> every process.
 *
 * A hint that makes peers react at once; the truth is the registry record, read by scan. `left` may be lost.
 */
import { z } from 'zod';
import { defineTopic, type MessageOf } from './define.ts';
import { instanceRecord } from './instance-record.ts';

export const instanceChanged = defineTopic(
  'instance.changed',
  1,
  z.object({ event: z.enum(['joined', 'changed', 'left']), record: instanceRecord }),
);
export type InstanceChanged = MessageOf<typeof instanceChanged>;
