/**
 * Whether listeners are up: while their chain has work. Without any for too long the miners are sent to their fallback
 * pools: nothing is credited, connections are closed spread over time, and frontends are told to take the listener down.
 */
import type { Logger } from 'pino';
import type { DownItem } from '#libs/link/items.ts';
import type { LinkPeer } from '#libs/link/link-server.ts';
import type { ChainRuntime } from './chain-runtime.ts';
import type { Connection } from './connection.ts';

/** [ms] over which the connections of a chain without work are closed */
const CLOSE_SPREAD_MS = 10_000;
const CLOSE_STEP_MS = 100;
/** [ms] after start in which new connections may wait for the first job */
const FIRST_JOB_MS = 10_000;

export interface Listeners extends Disposable {
  /** Tells a frontend about all of them. */
  tell(peer: LinkPeer): void;
  /** A chain got work, or has had none for too long. */
  changeWork(chain: ChainRuntime, hasWork: boolean): void;
  /** Whether new connections are taken. */
  takesNew(chain: ChainRuntime): boolean;
}

export interface ListenersParts {
  readonly chains: () => readonly ChainRuntime[];
  readonly peers: () => Iterable<LinkPeer>;
  readonly end: (connection: Connection, reason: string) => void;
  readonly log: Logger;
  readonly nowMs: () => number;
}

export function createListeners({ chains, peers, end, log, nowMs }: ListenersParts): Listeners {
  const startedMs = nowMs();
  /** Chains that ever had work: only those can be held without. */
  const everWorked = new Set<ChainRuntime>();
  const closing = new Map<ChainRuntime, NodeJS.Timeout>();

  function isUp(chain: ChainRuntime): boolean {
    if (chain.source.hasWork) return true;
    return chain.settings.onNoWork === 'hold' && everWorked.has(chain);
  }

  function itemsOf(chain: ChainRuntime): readonly DownItem[] {
    const isListening = isUp(chain);
    return chain.settings.listeners.map(({ name }) => ({
      kind: 'listen',
      listener: name,
      isUp: isListening,
    }));
  }

  function changeWork(chain: ChainRuntime, hasWork: boolean): void {
    if (hasWork) everWorked.add(chain);
    stopClosing(chain);
    for (const peer of peers()) for (const item of itemsOf(chain)) peer.send(item);
    if (hasWork) return log.info({ chain: chain.id }, 'work is there');
    log.error(
      { chain: chain.id, onNoWork: chain.settings.onNoWork },
      'no work from any jobmanager',
    );
    if (chain.settings.onNoWork === 'fallback') startClosing(chain);
  }

  function startClosing(chain: ChainRuntime): void {
    const steps = CLOSE_SPREAD_MS / CLOSE_STEP_MS;
    const perStep = Math.max(1, Math.ceil(chain.connections.size / steps));
    const timer = setInterval(() => {
      const some = [...chain.connections].slice(0, perStep);
      for (const connection of some) end(connection, 'no_work');
      if (some.length === 0) stopClosing(chain);
    }, CLOSE_STEP_MS);
    closing.set(chain, timer);
  }

  function stopClosing(chain: ChainRuntime): void {
    clearInterval(closing.get(chain));
    closing.delete(chain);
  }

  return {
    tell(peer) {
      for (const chain of chains()) for (const item of itemsOf(chain)) peer.send(item);
    },
    changeWork,
    takesNew: (chain) =>
      isUp(chain) || (!everWorked.has(chain) && nowMs() - startedMs < FIRST_JOB_MS),
    [Symbol.dispose]() {
      for (const timer of closing.values()) clearInterval(timer);
    },
  };
}
