/** Who is connected, as the stratum-servers wrote it down: for people, bounded. */
import type { Redis } from 'ioredis';
import { z } from 'zod';
import { keys } from '#libs/contracts/keys.ts';

/** [connections] most that are shown at once */
export const CLIENTS_MAX = 10_000;
const SCAN_COUNT = 1_000;

const client = z
  .object({
    conn: z.string(),
    frontend: z.string(),
    server: z.string(),
    connectedMs: z.number(),
    workers: z.array(z.string()),
    difficulty: z.number(),
    accepted: z.number(),
    rejected: z.number(),
  })
  .loose();
export type Client = z.infer<typeof client>;

/** @throws {Error} if Redis does not answer */
export async function readClients(
  redis: Redis,
  limit: number,
): Promise<{ readonly clients: readonly Client[]; readonly isCut: boolean }> {
  const found: Client[] = [];
  let cursor = '0';
  do {
    const [next, names] = await redis.scan(
      cursor,
      'MATCH',
      keys.connection('*'),
      'COUNT',
      SCAN_COUNT,
    );
    cursor = next;
    if (names.length > 0)
      for (const text of await redis.mget(names)) found.push(...parseClient(text));
  } while (cursor !== '0' && found.length < limit);
  const clients = found.slice(0, limit).toSorted((a, b) => a.connectedMs - b.connectedMs);
  return { clients, isCut: cursor !== '0' || found.length > limit };
}

/** Expired between scan and read, or of a version we cannot read: not shown. */
function parseClient(text: string | null): readonly Client[] {
  if (text === null) return [];
  const parsed = client.safeParse(JSON.parse(text));
  return parsed.success ? [parsed.data] : [];
}
