/** What a jobmanager takes from the pool's configuration and its environment. */
import { scriptFromAddress } from '#libs/bitcoin/address.ts';
import { type ChainParams, chainParams } from '#libs/bitcoin/chains.ts';
import { hexFromBytes } from '#libs/bitcoin/hex.ts';
import type { ResolvedChain, ResolvedConfig } from '#libs/contracts/pool-config.ts';
import { ConfigError } from '#libs/runtime/errors.ts';
import { chooseChain } from './core/choose-chain.ts';
import type { JobSettings } from './core/model.ts';

/** [bytes] of a job; a listener whose miners take fewer has the server fill up the rest. */
const EXTRANONCE1_SIZE = 4;
const EXTRANONCE2_SIZE = 8;

/** Said in the coinbase of every block that is not real coins. */
const DEVCHAIN_TAG = 'devchain/';

/**
 * The chain this process serves.
 *
 * @param wanted `SEAM_CHAIN`; undefined: the configured chain with the fewest ready jobmanagers
 * @param served chain of each ready jobmanager
 * @throws {ConfigError}
 */
export function chainOf(
  config: ResolvedConfig,
  wanted: string | undefined,
  served: readonly string[],
): ResolvedChain {
  const ids = config.chains.map(({ id }) => id);
  const id = wanted ?? chooseChain(ids, served);
  const chain = config.chains.find((each) => each.id === id);
  if (chain === undefined)
    throw new ConfigError([`SEAM_CHAIN: there is no chain ${id}; known: ${ids.join(', ')}`]);
  return chain;
}

/** @throws {ConfigError} without an address of this very network: no address of ours is ever a default */
export function settingsOf(chain: ResolvedChain): JobSettings {
  const params = chainParams(chain.chain, chain.network);
  return {
    chain: chain.id,
    versionMask: params.versionMask,
    poolScript: hexFromBytes(payoutScript(chain, params)),
    tag: chain.isDevchain ? chain.coinbaseTag + DEVCHAIN_TAG : chain.coinbaseTag,
    feeBasisPoints: chain.feeBasisPoints,
    extranonce1Size: EXTRANONCE1_SIZE,
    extranonce2Size: EXTRANONCE2_SIZE,
  };
}

function payoutScript({ id, payoutAddress }: ResolvedChain, params: ChainParams): Uint8Array {
  const setting = `chains.${id}.payoutAddress`;
  if (payoutAddress === undefined)
    throw new ConfigError([
      `${setting}: a chain does not start without an address that blocks pay to`,
    ]);
  const script = scriptFromAddress(payoutAddress, params);
  if (script.kind === 'refused') throw new ConfigError([`${setting}: ${script.reason}`]);
  return script.script;
}
