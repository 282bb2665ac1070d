/** The configuration as it may be shown: credentials in node URLs are replaced. */
import type { ResolvedConfig } from './pool-config.ts';

export function redactedConfig(config: ResolvedConfig): ResolvedConfig {
  const chains = config.chains.map((chain) => ({
    ...chain,
    nodes: chain.nodes.map((node) => ({ ...node, url: redactUrl(node.url) })),
  }));
  return { ...config, chains };
}

function redactUrl(text: string): string {
  const url = new URL(text);
  if (url.username !== '') url.username = '***';
  if (url.password !== '') url.password = '***';
  return url.href;
}
