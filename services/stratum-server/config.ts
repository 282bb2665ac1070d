/** What this service takes from the pool's configuration: a view of it per chain, nothing of its own. */
import { join } from 'node:path';
import { type ChainParams, chainParams } from '#libs/bitcoin/chains.ts';
import type { PoolConfig, ResolvedConfig, ResolvedListener } from '#libs/contracts/pool-config.ts';

/** A chain with its listeners. */
export interface ChainSettings {
  readonly id: string;
  readonly params: ChainParams;
  /** [ms] how long the last job is credited without any node */
  readonly staleWorkMs: number;
  readonly onNoWork: 'fallback' | 'hold';
  readonly listeners: readonly ResolvedListener[];
}

export interface Settings {
  /** Those that any listener serves. */
  readonly chains: readonly ChainSettings[];
  readonly limits: PoolConfig['limits'];
  readonly journal: PoolConfig['journal'];
  readonly journalFolder: string;
}

/** @param runDir the environment's word for it, which wins over the configuration's */
export function settingsOf(config: ResolvedConfig, runDir = config.runDir): Settings {
  const chains = config.chains.map((chain) => ({
    id: chain.id,
    params: chainParams(chain.chain, chain.network),
    staleWorkMs: chain.staleWorkMs,
    onNoWork: chain.onNoWork,
    listeners: config.listeners.filter((listener) => listener.chain === chain.id),
  }));
  return {
    chains: chains.filter((chain) => chain.listeners.length > 0),
    limits: config.limits,
    journal: config.journal,
    journalFolder: join(runDir, 'journal'),
  };
}
