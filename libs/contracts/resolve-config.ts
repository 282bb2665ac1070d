/**
 * From what an operator wrote to what services read: every id, listener and folder filled in, everything that can be
 * wrong said at once. Pure: the caller reads files and asks nodes.
 */
import { scriptFromAddress } from '#libs/bitcoin/address.ts';
import { chainParams } from '#libs/bitcoin/chains.ts';
import {
  type ChainConfig,
  type ListenerConfig,
  type NodeConfig,
  type PoolConfig,
  poolConfig,
  type ResolvedChain,
  type ResolvedConfig,
  type ResolvedListener,
} from './pool-config.ts';

export type Resolution =
  | { readonly ok: true; readonly config: ResolvedConfig }
  | { readonly ok: false; readonly problems: readonly string[] };

/** What stands in for a coin node when none is configured. */
export interface Devchain {
  readonly node: NodeConfig;
  readonly payoutAddress: string;
}

export const DEVCHAIN_ID = 'devchain';

/** Parses `seam.yml` (already read as YAML or JSON; an empty file is `null`). */
export function parsePoolConfig(
  raw: unknown,
):
  | { readonly ok: true; readonly config: PoolConfig }
  | { readonly ok: false; readonly problems: readonly string[] } {
  const parsed = poolConfig.strict().safeParse(raw ?? {});
  if (parsed.success) return { ok: true, config: parsed.data };
  const problems = parsed.error.issues.map(
    (issue) => `${issue.path.join('.') || 'seam.yml'}: ${issue.message}`,
  );
  return { ok: false, problems };
}

function idOf(chain: ChainConfig): string {
  return chain.id ?? (chain.network === 'main' ? chain.chain : `${chain.chain}-${chain.network}`);
}

function resolveChains(
  config: PoolConfig,
  devchain: Devchain | undefined,
): readonly ResolvedChain[] {
  const chains = config.chains.map((chain) => ({ ...chain, id: idOf(chain), isDevchain: false }));
  if (chains.length > 0 || devchain === undefined) return chains;
  const [base] = poolConfig.parse({ chains: [{ chain: 'bitcoin', network: 'regtest' }] }).chains;
  if (base === undefined) return [];
  const { node, payoutAddress } = devchain;
  return [{ ...base, id: DEVCHAIN_ID, isDevchain: true, nodes: [node], payoutAddress }];
}

/** DESIGN.md section 13, "Defaults, stated once". */
function defaultListeners(chains: readonly ResolvedChain[]): readonly ResolvedListener[] {
  const sha256d = chains.find(
    (chain) => chainParams(chain.chain, chain.network).algorithm === 'sha256d',
  );
  const scrypt = chains.find(
    (chain) => chainParams(chain.chain, chain.network).algorithm === 'scrypt',
  );
  const listeners: ResolvedListener[] = [];
  const add = (
    name: string,
    port: number,
    chain: ResolvedChain,
    startDifficulty: number,
    minDifficulty: number,
  ) =>
    listeners.push({
      name,
      port,
      chain: chain.id,
      mode: 'pool',
      startDifficulty,
      minDifficulty,
      vardiffTargetSec: 10,
      extranonce2Size: 8,
    });
  if (sha256d?.isDevchain) {
    add('main', 3333, sha256d, 0.00002, 0.000001); // One CPU core finds several shares a second.
  } else if (sha256d !== undefined) {
    add('main', 3333, sha256d, 10_000, 1);
    add('low', 3335, sha256d, 0.001, 0.0001);
    add('rental', 4334, sha256d, 1_000_000, 524_288);
  }
  if (scrypt !== undefined) add('scrypt', 3433, scrypt, 65_536, 1);
  return listeners;
}

function problemsOfChains(chains: readonly ResolvedChain[]): string[] {
  const problems: string[] = [];
  const ids = chains.map((chain) => chain.id);
  for (const chain of chains) {
    const at = `chains.${chain.id}`;
    if (ids.filter((id) => id === chain.id).length > 1)
      problems.push(`${at}: two chains have this id; give each an id of its own`);
    if (chain.nodes.length === 0) problems.push(`${at}.nodes: a chain needs at least one node`);
    if (chain.payoutAddress === undefined) {
      problems.push(
        `${at}.payoutAddress: a chain does not start without an address that blocks pay to`,
      );
      continue;
    }
    const script = scriptFromAddress(chain.payoutAddress, chainParams(chain.chain, chain.network));
    if (script.kind !== 'script') problems.push(`${at}.payoutAddress: ${script.reason}`);
  }
  return problems;
}

function problemsOfListeners(
  listeners: readonly ResolvedListener[],
  config: PoolConfig,
  chainIds: readonly string[],
): string[] {
  const problems: string[] = [];
  const ports = new Map<number, string>([
    [config.http.port, 'http.port'],
    [config.http.operatorPort, 'http.operatorPort'],
  ]);
  if (ports.size < 2) problems.push('http: port and operatorPort must differ');
  const names = new Set<string>();
  for (const listener of listeners) {
    const at = `listeners.${listener.name}`;
    if (names.has(listener.name)) problems.push(`${at}: two listeners have this name`);
    names.add(listener.name);
    const owner = ports.get(listener.port);
    if (owner !== undefined) problems.push(`${at}.port: ${listener.port} is taken by ${owner}`);
    ports.set(listener.port, at);
    if (!chainIds.includes(listener.chain))
      problems.push(
        `${at}.chain: there is no chain ${listener.chain}; known: ${chainIds.join(', ')}`,
      );
    if (listener.startDifficulty < listener.minDifficulty)
      problems.push(`${at}: startDifficulty must be at least minDifficulty`);
  }
  return problems;
}

function withChain(listener: ListenerConfig, chains: readonly ResolvedChain[]): ResolvedListener {
  return { ...listener, chain: listener.chain ?? chains[0]?.id ?? '' };
}

/**
 * Fills in what was left open.
 *
 * @param devchain what to use when no chain is configured; undefined: that is a problem
 */
export function resolvePoolConfig(
  config: PoolConfig,
  runDir: string,
  devchain: Devchain | undefined,
): Resolution {
  const chains = resolveChains(config, devchain);
  const listeners =
    config.listeners.length > 0
      ? config.listeners.map((listener) => withChain(listener, chains))
      : defaultListeners(chains);
  const problems = [
    ...(chains.length === 0 ? ['chains: no chain is configured'] : []),
    ...problemsOfChains(chains),
    ...problemsOfListeners(
      listeners,
      config,
      chains.map((chain) => chain.id),
    ),
  ];
  if (problems.length > 0) return { ok: false, problems };
  return {
    ok: true,
    config: { ...config, chains: [...chains], listeners: [...listeners], runDir },
  };
}
