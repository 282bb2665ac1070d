/** The miner on the command line: `node tools/miner/main.ts --url stratum+tcp://127.0.0.1:3333 --user address.rig`. */
import { Command, InvalidArgumentError, Option } from 'commander';
import { scriptFromAddress } from '#libs/bitcoin/address.ts';
import { CHAINS } from '#libs/bitcoin/chains.ts';
import { HashThread } from './hash-thread.ts';
import type { Algorithm } from './hashing.ts';
import { Miner, type MinerOptions } from './miner.ts';
import { combine, isInOrder, PROBE_KINDS, type ProbeKind, type Report } from './report.ts';

interface CliOptions {
  readonly url: string;
  readonly user: string;
  readonly password: string;
  readonly algorithm: Algorithm;
  readonly hashrateLimit?: number;
  readonly versionRolling?: true;
  readonly extranonceSubscribe?: true;
  readonly suggestDifficulty?: number;
  readonly userAgent?: string;
  readonly soloCheck?: string;
  readonly reconnect?: true;
  readonly probes?: readonly ProbeKind[];
  readonly probeEvery: number;
  readonly shares?: number;
  readonly seconds?: number;
  readonly count: number;
  readonly json?: true;
}

function parseArguments(argv: readonly string[]): CliOptions {
  return new Command('miner')
    .description(
      'mines on the CPU and checks every answer of the pool; the report comes at the end',
    )
    .requiredOption('--url <url>', 'stratum+tcp://host:port or stratum+ssl://host:port')
    .requiredOption('--user <name>', 'address[.worker]')
    .option('--password <text>', 'password, may hold options such as d=64', 'x')
    .addOption(new Option('--algorithm <name>').choices(['sha256d', 'scrypt']).default('sha256d'))
    .option(
      '--hashrate-limit <H/s>',
      'at most this many hashes a second per miner; 0: no limit',
      positive,
    )
    .option('--version-rolling', 'ask for version rolling (BIP 310) and roll')
    .option('--extranonce-subscribe', 'send mining.extranonce.subscribe')
    .option('--suggest-difficulty <d>', 'send mining.suggest_difficulty', positive)
    .option('--user-agent <text>', 'what to call itself')
    .option('--solo-check <address>', 'the first output of every coinbase must pay this address')
    .option('--reconnect', 'come again after a lost connection')
    .option(
      '--probes <kinds>',
      `shares that must be refused: all, or some of ${PROBE_KINDS.join(',')}`,
      probeKinds,
    )
    .option('--probe-every <n>', 'accepted shares between two probes', positive, 5)
    .option('--shares <n>', 'stop after this many accepted shares', positive)
    .option('--seconds <n>', 'stop after this time', positive)
    .option(
      '--count <n>',
      'this many miners in one process; more than one get a number behind their name',
      positive,
      1,
    )
    .option('--json', 'print the report as one line of JSON and nothing else')
    .parse(argv)
    .opts<CliOptions>();
}

function positive(text: string): number {
  const value = Number(text);
  if (!Number.isFinite(value) || value < 0)
    throw new InvalidArgumentError('must be a number from 0 on');
  return value;
}

function probeKinds(text: string): readonly ProbeKind[] {
  if (text === 'all') return PROBE_KINDS;
  const kinds = text.split(',');
  const unknown = kinds.find((kind) => !PROBE_KINDS.includes(kind as ProbeKind));
  if (unknown !== undefined) throw new InvalidArgumentError(`no such probe: ${unknown}`);
  return kinds as ProbeKind[];
}

/** The script of an address of any chain we know. */
function payeeScriptOf(address: string): string {
  for (const params of CHAINS) {
    const parsed = scriptFromAddress(address, params);
    if (parsed.kind === 'script') return Buffer.from(parsed.script).toString('hex');
  }
  throw new TypeError(`Cannot check for "${address}": it is an address of no chain`);
}

function minerOptions(options: CliOptions, ordinal: number, hashThread: HashThread): MinerOptions {
  const { hashrateLimit, suggestDifficulty, userAgent, soloCheck, probes } = options;
  return {
    url: options.url,
    username: options.count > 1 ? `${options.user}${ordinal}` : options.user,
    password: options.password,
    algorithm: options.algorithm,
    versionRolling: options.versionRolling === true,
    subscribesExtranonce: options.extranonceSubscribe === true,
    reconnects: options.reconnect === true,
    probeEvery: Math.max(1, options.probeEvery),
    hashThread,
    ...(hashrateLimit === undefined
      ? {}
      : { hashrateHps: hashrateLimit === 0 ? Infinity : hashrateLimit }),
    ...(suggestDifficulty === undefined ? {} : { suggestDifficulty }),
    ...(userAgent === undefined ? {} : { userAgent }),
    ...(soloCheck === undefined ? {} : { payeeScript: payeeScriptOf(soloCheck) }),
    ...(probes === undefined ? {} : { probes }),
  };
}

function narrate(miner: Miner, name: string): void {
  miner.on('authorized', (extranonce1) =>
    console.log(`${name} authorised, extranonce1 ${extranonce1}`),
  );
  miner.on('accepted', ({ difficulty }) => console.log(`${name} accepted at ${difficulty}`));
  miner.on('rejected', (kind, code, text) =>
    console.log(`${name} ${kind} rejected: ${code} ${text}`),
  );
  miner.on('block', (hash, isAccepted) =>
    console.log(`${name} block ${hash} ${isAccepted ? 'accepted' : 'rejected'}`),
  );
  miner.on('message', (text) => console.log(`${name} the pool says: ${text}`));
  miner.on('disconnected', (reason) => console.log(`${name} disconnected: ${reason}`));
}

/** Resolves when the miners have done what was asked, or were asked to stop. */
function untilDone(miners: readonly Miner[], options: CliOptions): Promise<void> {
  return new Promise((resolve) => {
    let ended = 0;
    let accepted = 0;
    for (const miner of miners) {
      miner.on('accepted', () => {
        accepted += 1;
        if (options.shares !== undefined && accepted >= options.shares) resolve();
      });
      miner.on('ended', () => {
        ended += 1;
        if (ended === miners.length) resolve();
      });
    }
    if (options.seconds !== undefined) setTimeout(resolve, options.seconds * 1000).unref();
    process.once('SIGINT', () => resolve());
    process.once('SIGTERM', () => resolve());
  });
}

function print(report: Report, isJson: boolean): void {
  if (isJson) return console.log(JSON.stringify(report));
  const { accepted, rejected, stale, blocks, disconnects, faults, problems } = report;
  console.log({ accepted, rejected, stale, blocks, disconnects, faults });
  for (const problem of problems) console.log(problem);
}

async function main(): Promise<number> {
  const options = parseArguments(process.argv);
  await using hashThread = new HashThread();
  const miners = Array.from({ length: Math.max(1, options.count) }, (_, index) => {
    const miner = new Miner(minerOptions(options, index + 1, hashThread));
    if (options.json !== true) narrate(miner, options.count > 1 ? `#${index + 1}` : 'miner');
    return miner;
  });
  const report = () => combine(miners.map((miner) => miner.tally));
  process.on('SIGUSR2', () => print(report(), options.json === true));
  await untilDone(miners, options);
  await Promise.all(miners.map((miner) => miner.stop()));
  const final = report();
  print(final, options.json === true);
  return isInOrder(final) ? 0 : 1;
}

if (import.meta.main) process.exitCode = await main();
