/** The journals of one chain in this process: its own, and those of dead processes of this host. All of them are shipped. */
import type { Redis } from 'ioredis';
import type { Logger } from 'pino';
import type { Registry as MetricRegistry } from '@prometheus-io/client';
import type { Bus } from '#libs/bus/bus.ts';
import type { PoolConfig } from '#libs/contracts/pool-config.ts';
import { adoptJournals } from '#libs/journal/adopt.ts';
import { type Journal, openJournal } from '#libs/journal/journal.ts';
import { readWatermark, registerJournal } from '#libs/journal/journal-store.ts';
import { createShipper, type Shipper } from '#libs/journal/shipper.ts';
import { pause, within } from './wait.ts';

/** [ms] between tries to open the own journal */
const OPEN_RETRY_MS = 500;
/** [ms] between looks for journals without a living owner */
const ADOPT_MS = 5_000;
const ADOPTED_CHECK_MS = 30_000;
const WATERMARK_WAIT_MS = 500;
/** [ms] how long stopping waits for the last batch; what is left is adopted */
const LAST_BATCH_MS = 2_000;

export interface Journals extends AsyncDisposable {
  /** Undefined while it cannot be opened: shares are answered 20. */
  readonly own: Journal | undefined;
}

export interface JournalsParts {
  readonly chain: string;
  readonly instance: string;
  readonly folder: string;
  readonly config: PoolConfig['journal'];
  readonly bus: Bus;
  readonly sharesRedis: Redis;
  readonly log: Logger;
  readonly metrics: MetricRegistry;
  readonly nowMs: () => number;
  /** A journal was found whose candidates may have no verdict. */
  readonly onAdopted: (journal: Journal) => void;
}

export function createJournals(parts: JournalsParts): Journals {
  const { chain, folder, config, bus, sharesRedis, log, metrics, nowMs } = parts;
  const stopping = new AbortController();
  const adopted = new Map<Journal, Shipper>();
  let own: { readonly journal: Journal; readonly shipper: Shipper } | undefined;

  function ship(journal: Journal, checkMs?: number): Shipper {
    const watermark = () => readWatermark(sharesRedis, chain, journal.id);
    const pace = checkMs === undefined ? {} : { checkMs };
    return createShipper({ journal, bus, watermark, nowMs, log, metrics, ...pace });
  }

  async function open(): Promise<void> {
    const registration = (journalId: string) =>
      registerJournal(sharesRedis, {
        chain,
        journalId,
        openedMs: nowMs(),
        instance: parts.instance,
      });
    const settings = { folder, config, chain, nowMs, log, metrics, register: registration };
    const journal = await openJournal(settings);
    if (stopping.signal.aborted) return journal[Symbol.asyncDispose]();
    own = { journal, shipper: ship(journal) };
    log.info({ chain, journal: journal.id }, 'journal opened');
  }

  async function openUntilDone(): Promise<void> {
    while (!stopping.signal.aborted && own === undefined) {
      try {
        await open();
      } catch (error) {
        log.error({ chain, err: error }, 'journal not opened');
        await pause(OPEN_RETRY_MS, stopping.signal);
      }
    }
  }

  async function adoptUntilDone(): Promise<void> {
    while (!stopping.signal.aborted) {
      try {
        await adoptAndTidy();
      } catch (error) {
        log.warn({ chain, err: error }, 'journals not adopted');
      }
      await pause(ADOPT_MS, stopping.signal);
    }
  }

  /** What a power loss took from the disk, but not from the books, must not be numbered again. Redis away: blocks wait for nobody. */
  async function skipToWatermark(journal: Journal): Promise<void> {
    try {
      const watermark = await within(
        readWatermark(sharesRedis, chain, journal.id),
        WATERMARK_WAIT_MS,
      );
      journal.skipTo(watermark);
    } catch (error) {
      log.warn({ chain, journal: journal.id, err: error }, 'watermark of adopted journal not read');
    }
  }

  async function adoptAndTidy(): Promise<void> {
    const settings = { folder, config, chains: [chain], nowMs, log, metrics };
    for (const journal of await adoptJournals(settings)) {
      await skipToWatermark(journal);
      adopted.set(journal, ship(journal, ADOPTED_CHECK_MS));
      parts.onAdopted(journal);
    }
    for (const [journal, shipper] of adopted) {
      if (!journal.isExhausted || journal.unsettledCandidates().length > 0) continue;
      adopted.delete(journal);
      await shipper[Symbol.asyncDispose]();
      await journal.remove();
    }
  }

  const recheck = () => {
    own?.shipper.recheck();
    for (const shipper of adopted.values()) shipper.recheck();
  };
  sharesRedis.on('ready', recheck);
  const opening = openUntilDone();
  const adopting = adoptUntilDone();
  return {
    get own() {
      return own?.journal;
    },
    async [Symbol.asyncDispose]() {
      stopping.abort();
      sharesRedis.off('ready', recheck);
      await Promise.all([opening, adopting]);
      if (own !== undefined) {
        const hasReporter = bus.peers.some(({ role, isReady }) => role === 'reporter' && isReady);
        if (hasReporter) await own.shipper.shipNow(AbortSignal.timeout(LAST_BATCH_MS));
        await own.shipper[Symbol.asyncDispose]();
        await own.journal[Symbol.asyncDispose]();
      }
      for (const [journal, shipper] of adopted) {
        await shipper[Symbol.asyncDispose]();
        await journal[Symbol.asyncDispose]();
      }
    },
  };
}
