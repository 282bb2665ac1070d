/** How two processes find out who is at the other end of a fresh connection. */
import { z } from 'zod';
import { role } from '#libs/contracts/instance-record.ts';

/**
 * Body of hello (who connects) and welcome (who is bound). A port may belong to another process by now: only a
 * welcome of the expected boot makes the connection usable.
 */
export const helloSchema = z.object({ role, id: z.string().min(1).max(64) });
