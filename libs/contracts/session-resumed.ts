/**
 * A miner came back to its session on another connection. stratum-server -> every stratum-server, key: empty.
 *
 * Whoever still has the older connection closes it: its miner is gone, or two would mine with one extranonce1. Nothing
 * is answered. A lost one leaves that connection to its own end, idle, and a repeated one finds nothing to close.
 */
import { z } from 'zod';
import { defineTopic, hexOf, type MessageOf } from './define.ts';

export const sessionResumed = defineTopic(
  'session.resumed',
  1,
  z.object({
    sessionId: hexOf(16),
    extranonce1: hexOf(4).describe('Of the session, without padding'),
    conn: z.string().min(1).max(256).describe('The connection that has it now: not to be closed'),
  }),
);
export type SessionResumed = MessageOf<typeof sessionResumed>;
