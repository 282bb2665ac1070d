/** Command line of devchain: `node tools/devchain/main.ts --help`. Prints one line of JSON when it is ready. */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { pino } from 'pino';
import { redactUrl } from '#libs/coin-node/json-rpc.ts';
import { expandTarget } from './core/check-block.ts';
import {
  DEMO_NBITS,
  type DevchainParameters,
  parametersOf,
  REGTEST_NBITS,
} from './core/parameters.ts';
import { startDevchain } from './devchain.ts';
import { DevchainConfigError } from './errors.ts';

const HELP = `devchain: a coin node with coins that are not real

  --folder F          where the chain is kept (default: ./devchain)
  --rpc-port N        JSON-RPC, 0: any free port (default)
  --zmq-port N        zmqpubhashblock, 0: any free port (default)
  --bind HOST         default 127.0.0.1
  --user U            default seam
  --password-file P   made with a random password if missing (default: F/password)
  --chain C           bitcoin (default) or litecoin (without MWEB)
  --algorithm A       sha256d or scrypt (default: the chain's)
  --bits HEX          compact target of every block (default 207fffff: every second hash)
  --demo              bits for a block about every 14 s with three demo miners, and transactions
  --mempool-ms N      new transactions every N ms, 0: none (default; 3000 with --demo)
  --log LEVEL         default info, to stderr
`;

const EXIT_CONFIG = 78;

interface Settings {
  readonly folder: string;
  readonly rpcPort: number;
  readonly zmqPort: number;
  readonly host: string;
  readonly user: string;
  readonly passwordFile: string;
  readonly parameters: DevchainParameters;
  readonly mempoolIntervalMs: number;
  readonly logLevel: string;
}

/** @throws {DevchainConfigError} or a TypeError of parseArgs @returns undefined: help was asked for */
function readSettings(args: readonly string[]): Settings | undefined {
  const { values } = parseArgs({
    args: [...args],
    options: {
      folder: { type: 'string', default: 'devchain' },
      'rpc-port': { type: 'string', default: '0' },
      'zmq-port': { type: 'string', default: '0' },
      bind: { type: 'string', default: '127.0.0.1' },
      user: { type: 'string', default: 'seam' },
      'password-file': { type: 'string' },
      chain: { type: 'string', default: 'bitcoin' },
      algorithm: { type: 'string' },
      bits: { type: 'string' },
      demo: { type: 'boolean', default: false },
      'mempool-ms': { type: 'string' },
      log: { type: 'string', default: 'info' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return undefined;
  const chain = oneOf('--chain', values.chain, ['bitcoin', 'litecoin']);
  const algorithm = oneOf(
    '--algorithm',
    values.algorithm ?? (chain === 'litecoin' ? 'scrypt' : 'sha256d'),
    ['sha256d', 'scrypt'],
  );
  const fallback = values.demo ? DEMO_NBITS[algorithm] : REGTEST_NBITS;
  const nbits = values.bits === undefined ? fallback : readBits(values.bits);
  return {
    folder: values.folder,
    rpcPort: readNumber('--rpc-port', values['rpc-port'], 65_535),
    zmqPort: readNumber('--zmq-port', values['zmq-port'], 65_535),
    host: values.bind,
    user: values.user,
    passwordFile: values['password-file'] ?? join(values.folder, 'password'),
    parameters: parametersOf(chain, nbits, algorithm),
    mempoolIntervalMs: readNumber(
      '--mempool-ms',
      values['mempool-ms'] ?? (values.demo ? '3000' : '0'),
      86_400_000,
    ),
    logLevel: oneOf('--log', values.log, [
      'trace',
      'debug',
      'info',
      'warn',
      'error',
      'fatal',
      'silent',
    ]),
  };
}

function oneOf<T extends string>(name: string, value: string, choices: readonly T[]): T {
  const found = choices.find((choice) => choice === value);
  if (found !== undefined) return found;
  throw new DevchainConfigError(
    `Cannot use ${name} ${value}: it must be one of ${choices.join(', ')}`,
  );
}

function readNumber(name: string, text: string, max: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value <= max) return value;
  throw new DevchainConfigError(
    `Cannot use ${name} ${text}: it must be a whole number in 0..${max}`,
  );
}

function readBits(text: string): number {
  const nbits = Number.parseInt(text, 16);
  if (/^[0-9a-f]{8}$/i.test(text) && expandTarget(nbits) !== undefined) return nbits;
  throw new DevchainConfigError(
    `Cannot use --bits ${text}: it must be 8 hex digits of a compact target`,
  );
}

function readPassword(path: string): string {
  if (!existsSync(path)) {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, `${randomBytes(24).toString('hex')}\n`, { mode: 0o600, flag: 'wx' });
  }
  const password = readFileSync(path, 'utf8').trim();
  if (password !== '') return password;
  throw new DevchainConfigError(`Cannot use password file ${path}: it is empty`);
}

function untilSignal(): Promise<void> {
  return new Promise((resolve) => {
    process.once('SIGTERM', () => resolve());
    process.once('SIGINT', () => resolve());
  });
}

async function main(): Promise<void> {
  const settings = readSettings(process.argv.slice(2));
  if (settings === undefined) {
    process.stdout.write(HELP);
    return;
  }
  const { passwordFile, logLevel, ...rest } = settings;
  const log = pino({ name: 'devchain', level: logLevel }, pino.destination(2));
  await using devchain = await startDevchain({
    ...rest,
    password: readPassword(passwordFile),
    log,
  });
  const { chain } = devchain.node;
  const ready = {
    rpc: redactUrl(devchain.url),
    zmqHashblock: devchain.zmqHashblock,
    chain: chain.parameters.chain,
    network: 'regtest',
    bits: chain.parameters.nbits.toString(16).padStart(8, '0'),
    height: chain.tip.height,
    pid: process.pid,
  };
  process.stdout.write(`${JSON.stringify(ready)}\n`);
  await Promise.race([devchain.stopped, untilSignal()]);
  log.info('stopping');
}

if (import.meta.main) {
  try {
    await main();
  } catch (error) {
    const isConfig =
      error instanceof DevchainConfigError ||
      (error instanceof Error &&
        'code' in error &&
        /^(ERR_PARSE_ARGS|EADDRINUSE|EACCES)/.test(String(error.code)));
    process.stderr.write(`devchain: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = isConfig ? EXIT_CONFIG : 70;
  }
}
