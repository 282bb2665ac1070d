/**
 * One turn of the event loop: what its lines decided, written to the journals once, then answered.
 *
 * Note [Turn]
 * Everything the frontends sent in one turn is worked off first. Then each chain's shares are appended and written in
 * one synchronous write, and only then the answers leave, one message a frontend, in the order of the lines. If the
 * write fails, its shares are answered 20 and their capsule changes are not made. Appending and writing happen without
 * giving way in between, so that nobody else's write can take the blame or the credit.
 */
import type { Logger } from 'pino';
import type { BlockSubmit } from '#libs/contracts/block-submit.ts';
import type { JournalRecord } from '#libs/journal/record.ts';
import type { DownItem } from '#libs/link/items.ts';
import type { LinkPeer } from '#libs/link/link-server.ts';
import type { Metrics } from '../metrics.ts';
import { candidateRecordOf } from './blocks.ts';
import type { ChainRuntime } from './chain-runtime.ts';

/** What leaves for a frontend; with `recorded` one of two ways, depending on whether its chain's journal took it. */
interface Output {
  readonly peer: LinkPeer;
  readonly items: readonly DownItem[];
  readonly recorded:
    | {
        readonly chain: ChainRuntime;
        readonly failedItems: readonly DownItem[];
        readonly onFailed: () => void;
      }
    | undefined;
}

interface ChainTurn {
  readonly records: JournalRecord[];
  readonly candidates: BlockSubmit[];
}

export interface Turn {
  /** Items that leave whatever the journal does. */
  send(peer: LinkPeer, items: readonly DownItem[]): void;
  /** A share: `items` if it was written, else `failedItems` after `onFailed`. */
  sendRecorded(
    peer: LinkPeer,
    chain: ChainRuntime,
    record: JournalRecord,
    outcome: {
      readonly items: readonly DownItem[];
      readonly failedItems: readonly DownItem[];
      readonly onFailed: () => void;
    },
  ): void;
  /** A record nobody is answered for. */
  note(chain: ChainRuntime, record: JournalRecord): void;
  /** A solved block: written with the turn, then sent on, written or not. */
  solve(chain: ChainRuntime, submission: BlockSubmit): void;
  /** Works the turn off now instead of at its end. */
  finish(): void;
}

export function createTurn({
  log,
  metrics,
  beforeFinish,
}: {
  readonly log: Logger;
  readonly metrics: Metrics;
  /** The last chance to send something behind all answers. */
  readonly beforeFinish: () => void;
}): Turn {
  let outputs: Output[] = [];
  let chains = new Map<ChainRuntime, ChainTurn>();
  let isPlanned = false;

  function plan(): void {
    if (isPlanned) return;
    isPlanned = true;
    setImmediate(finish);
  }

  function turnOf(chain: ChainRuntime): ChainTurn {
    plan();
    const known = chains.get(chain);
    if (known !== undefined) return known;
    const turn = { records: [], candidates: [] };
    chains.set(chain, turn);
    return turn;
  }

  function finish(): void {
    isPlanned = false;
    beforeFinish();
    const leaving = outputs;
    const written = chains;
    outputs = [];
    chains = new Map();
    const failed = new Set<ChainRuntime>();
    for (const [chain, turn] of written) if (!write(chain, turn)) failed.add(chain);
    for (const [chain, { candidates }] of written) {
      for (const candidate of candidates) chain.blocks.offer(candidate, chain.journals.own);
    }
    deliver(leaving, failed);
  }

  function write(chain: ChainRuntime, { records, candidates }: ChainTurn): boolean {
    const journal = chain.journals.own;
    try {
      if (journal === undefined) throw new Error('Cannot write shares: no journal is open');
      for (const record of records) journal.append(record);
      for (const candidate of candidates) journal.append(candidateRecordOf(candidate));
      journal.flush();
      return true;
    } catch (error) {
      metrics.journalFailures.inc({ chain: chain.id });
      log.error({ chain: chain.id, shares: records.length, err: error }, 'shares not written');
      return false;
    }
  }

  function deliver(leaving: readonly Output[], failed: ReadonlySet<ChainRuntime>): void {
    const peers = new Set<LinkPeer>();
    for (const { peer, items, recorded } of leaving) {
      peers.add(peer);
      const hasFailed = recorded !== undefined && failed.has(recorded.chain);
      if (hasFailed) recorded.onFailed();
      for (const item of hasFailed ? recorded.failedItems : items) peer.send(item);
    }
    for (const peer of peers) peer.flush();
  }

  return {
    send(peer, items) {
      if (items.length === 0) return;
      plan();
      outputs.push({ peer, items, recorded: undefined });
    },
    sendRecorded(peer, chain, record, { items, failedItems, onFailed }) {
      turnOf(chain).records.push(record);
      outputs.push({ peer, items, recorded: { chain, failedItems, onFailed } });
    },
    note: (chain, record) => void turnOf(chain).records.push(record),
    solve: (chain, submission) => void turnOf(chain).candidates.push(submission),
    finish,
  };
}
