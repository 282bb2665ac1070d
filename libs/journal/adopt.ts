/** Takes over the journals of dead owners of this host, each by exactly one adopter. See Note [Adoption]. */
import { mkdir } from 'node:fs/promises';
import { FileJournal, type Journal, type JournalSettings } from './journal.ts';
import { createJournalMetrics } from './metrics.ts';
import {
  claimFrom,
  listOwners,
  type OwnerFile,
  ownerState,
  removeStaleSockets,
} from './ownership.ts';
import { type RecoveredJournal, recoverJournal } from './recovery.ts';

/** [journals] taken in one call, so that several adopters share what a lost host left */
const ADOPT_MAX = 8;

export interface AdoptOptions extends JournalSettings {
  /** Only journals of these chains; undefined: of all. */
  readonly chains?: readonly string[];
}

/**
 * Adopts what may be adopted; call it at start and every few seconds. Own journals are alive and so left alone.
 *
 * What comes back is a journal like any other: ship it, offer its unsettled candidates again (after the shipper's
 * first look at the watermark), append what settles them, and `remove()` it once it `isExhausted`.
 */
export async function adoptJournals(options: AdoptOptions): Promise<Journal[]> {
  const { folder, chains, log } = options;
  await mkdir(folder, { recursive: true });
  const adopted: Journal[] = [];
  for (const owner of await listOwners(folder)) {
    if (chains !== undefined && !chains.includes(owner.chain)) continue;
    if (adopted.length === ADOPT_MAX) break;
    try {
      const journal = await adoptOne(options, owner);
      if (journal !== undefined) adopted.push(journal);
    } catch (error) {
      log.error({ journal: owner.journalId, err: error }, 'journal cannot be adopted');
    }
  }
  await removeStaleSockets(folder);
  return adopted;
}

async function adoptOne(options: AdoptOptions, owner: OwnerFile): Promise<Journal | undefined> {
  const { folder, log } = options;
  const { chain, journalId } = owner;
  const state = await ownerState(folder, owner);
  if (state === 'unproved') {
    createJournalMetrics(options.metrics).unproved.inc({ chain });
    log.warn({ journal: journalId, owner: owner.ownerId }, 'journal owner is not proved dead');
  }
  if (state === 'alive' || state === 'unproved') return undefined;
  const ownership = await claimFrom(folder, owner);
  if (ownership === undefined) return undefined;
  try {
    const recovered = await recoverJournal(folder, chain, journalId);
    report(options, owner, recovered);
    return new FileJournal(options, ownership, recovered);
  } catch (error) {
    await ownership.release();
    throw error;
  }
}

function report(options: AdoptOptions, { chain, journalId }: OwnerFile, found: RecoveredJournal) {
  const metrics = createJournalMetrics(options.metrics);
  const { nextIndex, tornBytes, corruptPaths } = found;
  metrics.adopted.inc({ chain });
  metrics.tornBytes.inc({ chain }, tornBytes);
  metrics.corrupt.inc({ chain }, corruptPaths.length);
  options.log.info({ journal: journalId, chain, nextIndex, tornBytes }, 'journal adopted');
  for (const path of corruptPaths)
    options.log.error({ journal: journalId, path }, 'journal segment is damaged');
}
