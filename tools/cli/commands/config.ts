/** `seam config`: check, print, apply. */
import { stringify } from 'yaml';
import { configureMesh } from '../configure-mesh.ts';
import { loadConfig } from '../load-config.ts';
import { redactedConfig } from '#libs/contracts/redacted-config.ts';
import { readFacts, type RunFacts, runFolder } from '../run-folder.ts';
import { CommandError, EXIT, progress } from '../terminal.ts';
import { version } from '../version.ts';

interface Options {
  readonly runDir?: string;
  readonly config?: string;
}

/** Facts that only stand in for those of a folder that was never up: nothing is started from them. */
const NO_FACTS: RunFacts = {
  redisPassword: '',
  devchainPassword: '',
  devchainAddresses: ['bcrt1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqdku202', '', '', ''],
  redisPort: 0,
  devchainRpcPort: 1,
  devchainZmqPort: 1,
};

export async function configCheck(options: Options): Promise<void> {
  const folder = runFolder(options.runDir);
  const { path, isDevchain } = loadConfig(options.config, folder, readFacts(folder) ?? NO_FACTS);
  progress(
    `${path ?? 'the default configuration'} is fine${isDevchain ? ' (devchain: not real coins)' : ''}`,
  );
}

export async function configPrint(options: Options): Promise<void> {
  const folder = runFolder(options.runDir);
  const { config } = loadConfig(options.config, folder, readFacts(folder) ?? NO_FACTS);
  process.stdout.write(stringify(redactedConfig(config)));
}

export async function configApply(options: Options): Promise<void> {
  const folder = runFolder(options.runDir);
  const facts = readFacts(folder);
  if (facts === undefined)
    throw new CommandError(`Cannot apply: ${folder.path} was never up`, EXIT.unavailable);
  const loaded = loadConfig(options.config, folder, facts);
  const configVersion = await configureMesh(
    { folder, facts, loaded, version: version() },
    { dropsOverrides: true },
  );
  progress(`configuration version ${configVersion} is stored; services read it when they start`);
}
