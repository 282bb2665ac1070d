/** A configuration for tests: devchain, with a node that has a password. */
import { randomBytes } from 'node:crypto';
import type { ResolvedConfig } from '#libs/contracts/pool-config.ts';
import { parsePoolConfig, resolvePoolConfig } from '#libs/contracts/resolve-config.ts';
import { regtestAddress } from '#tools/cli/demo-address.ts';

export function devchainConfig(): ResolvedConfig {
  const parsed = parsePoolConfig(null);
  if (!parsed.ok) throw new Error('an empty file must be fine');
  const devchain = {
    node: { url: 'http://seam:hush@127.0.0.1:1' },
    payoutAddress: regtestAddress(randomBytes(20)),
  };
  const resolved = resolvePoolConfig(parsed.config, '/run', devchain);
  if (!resolved.ok) throw new Error(resolved.problems.join());
  return resolved.config;
}
