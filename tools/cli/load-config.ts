/** Reads `seam.yml` and says everything that is wrong with it at once. */
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parse as parseYaml } from 'yaml';
import type { ResolvedConfig } from '#libs/contracts/pool-config.ts';
import { parsePoolConfig, resolvePoolConfig } from '#libs/contracts/resolve-config.ts';
import { ROOT, type RunFacts, type RunFolder } from './run-folder.ts';
import { CommandError, EXIT } from './terminal.ts';

export interface LoadedConfig {
  readonly config: ResolvedConfig;
  /** The file it came from; undefined: there is none, so all defaults. */
  readonly path: string | undefined;
  readonly isDevchain: boolean;
}

/** `--config`, or `seam.yml` in the working folder, or beside the program. */
export function configPath(given: string | undefined): string | undefined {
  if (given !== undefined) {
    if (!existsSync(given))
      throw new CommandError(`Cannot read ${given}: there is no such file`, EXIT.config);
    return resolve(given);
  }
  return [resolve('seam.yml'), join(ROOT, 'seam.yml')].find((path) => existsSync(path));
}

/** @throws {CommandError} with exit code 78 and all problems */
export function loadConfig(
  given: string | undefined,
  folder: RunFolder,
  facts: RunFacts,
): LoadedConfig {
  const path = configPath(given);
  const parsed = parsePoolConfig(path === undefined ? null : readYaml(path));
  if (!parsed.ok) throw problemsError(path, parsed.problems);
  const resolved = resolvePoolConfig(parsed.config, folder.path, {
    node: {
      url: `http://seam:${facts.devchainPassword}@127.0.0.1:${facts.devchainRpcPort}`,
      zmqHashblock: `tcp://127.0.0.1:${facts.devchainZmqPort}`,
    },
    payoutAddress: facts.devchainAddresses[0] ?? '',
  });
  if (!resolved.ok) throw problemsError(path, resolved.problems);
  return {
    config: resolved.config,
    path,
    isDevchain: resolved.config.chains.some((chain) => chain.isDevchain),
  };
}

function readYaml(path: string): unknown {
  try {
    return parseYaml(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new CommandError(
      `Cannot read ${path}: ${error instanceof Error ? error.message : 'not YAML'}`,
      EXIT.config,
    );
  }
}

function problemsError(path: string | undefined, problems: readonly string[]): CommandError {
  const list = problems.map((problem) => `  - ${problem}`).join('\n');
  return new CommandError(
    `Cannot use ${path ?? 'the default configuration'}:\n${list}`,
    EXIT.config,
  );
}
