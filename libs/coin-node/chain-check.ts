/** Whether a node serves the chain and network it is configured for. Pure. */
import type { ChainParams } from '#libs/bitcoin/chains.ts';

/** Block 0 of the public networks, display byte order; regtest included, since a mix-up there costs an hour. */
const GENESIS: Readonly<Record<string, string>> = {
  '000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f': 'bitcoin main',
  '000000000933ea01ad0ee984209779baaec3ced90fa3f408719526f8d77f4943': 'bitcoin test',
  '00000000da84f2bafbbc53dee25a72ae507ff4914b867c565be350b0da8bf043': 'bitcoin test',
  '00000008819873e925422c1ff0f99f7cc9bbb232af63a077a480a3633bee1ef6': 'bitcoin signet',
  '0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206': 'bitcoin regtest',
  '12a765e31ffd4059bada1e25190f6e98c99d9714d334efa41a195a7e7e04bfe2': 'litecoin main',
  '4966625a4b2851d9fdee139e56211a0d88575f59ed816ff5e6a63deb4e3e29a0': 'litecoin test',
  '530827f38f93b43ed12af0b3ad25a288dc02ed74d6d7857862df51fc56c416f9': 'litecoin regtest',
};

export type Configured = Pick<ChainParams, 'chain' | 'network' | 'nodeChains'>;

/**
 * @param reported `chain` of getblockchaininfo
 * @param genesis hash of block 0, display byte order
 * @returns what the node serves instead, or undefined if it is right. An unknown genesis passes on test networks
 *   (devchain has its own), never on `main`.
 */
export function wrongChain(
  configured: Configured,
  reported: string,
  genesis: string,
): string | undefined {
  const known = GENESIS[genesis];
  if (known !== undefined && known !== `${configured.chain} ${configured.network}`) return known;
  if (!configured.nodeChains.includes(reported)) return `network "${reported}"`;
  if (known === undefined && configured.network === 'main')
    return `an unknown chain with genesis ${genesis}`;
  return undefined;
}
