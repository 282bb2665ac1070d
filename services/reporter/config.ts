/** What the reporter takes from the pool's configuration. */
import { join } from 'node:path';
import { chainParams } from '#libs/bitcoin/chains.ts';
import type { ResolvedConfig } from '#libs/contracts/pool-config.ts';
import type { Environment } from '#libs/runtime/environment.ts';
import type { ChainFacts } from './core/views.ts';

export interface ReporterSettings {
  readonly poolName: string;
  readonly chains: readonly ChainFacts[];
  /** Folder of the Unix sockets HAProxy connects to. */
  readonly edgeFolder: string;
}

/** @throws {RangeError} for a chain that is not in the table, which the configuration's schema rules out */
export function settingsOf(
  config: ResolvedConfig,
  environment: Pick<Environment, 'runDir'>,
): ReporterSettings {
  return {
    poolName: config.pool.name,
    chains: config.chains.map(({ id, isDevchain, chain, network }) => ({
      ...{ id, isDevchain, params: chainParams(chain, network) },
    })),
    edgeFolder: join(environment.runDir ?? config.runDir, 'edge'),
  };
}
