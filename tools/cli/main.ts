/** The `seam` command: one file per command under `commands/`. */
import { Command } from 'commander';
import { chaos } from './commands/chaos.ts';
import { down } from './commands/down.ts';
import { configCheck, configApply, configPrint } from './commands/config.ts';
import { printBlocks, printClients, printGroups, printWorkers, scale } from './commands/mesh.ts';
import { printStatus } from './commands/status.ts';
import { logs } from './commands/logs.ts';
import { test } from './commands/test.ts';
import { up } from './commands/up.ts';
import { runFolder } from './run-folder.ts';
import { CommandError, EXIT } from './terminal.ts';
import { version } from './version.ts';

const RUN_DIR = [
  '--run-dir <folder>',
  'where everything the mesh writes lives (default: .seam beside the program)',
] as const;
const CONFIG = ['--config <file>', 'the configuration (default: seam.yml)'] as const;
const JSON_OUT = ['--json', 'print JSON'] as const;

interface Common {
  readonly runDir?: string;
  readonly config?: string;
  readonly json?: boolean;
}

function program(): Command {
  const seam = new Command('seam')
    .description('A stratum mining pool that is never down')
    .version(version());
  seam
    .command('up')
    .description('start the whole mesh on this host')
    .option('--detach', 'leave it running')
    .option(...RUN_DIR)
    .option(...CONFIG)
    .option('--miners <n>', 'demo miners on devchain', '3')
    .action(up);
  seam
    .command('down')
    .description('stop what `up` started')
    .option(...RUN_DIR)
    .action(async (options: Common) => await down(options));
  seam
    .command('status')
    .description('what runs where')
    .option(...RUN_DIR)
    .option(...JSON_OUT)
    .action(
      async (options: Common) =>
        await printStatus(runFolder(options.runDir), options.json === true),
    );
  seam
    .command('groups')
    .description('desired and serving instances')
    .option(...RUN_DIR)
    .option(...JSON_OUT)
    .action(printGroups);
  seam
    .command('scale <group> <count>')
    .description('set how many instances a group has')
    .option(...RUN_DIR)
    .option(...JSON_OUT)
    .action(scale);
  seam
    .command('clients')
    .description('connected miners')
    .option(...RUN_DIR)
    .option(...JSON_OUT)
    .action(printClients);
  seam
    .command('workers')
    .description('workers and their hashrate')
    .option(...RUN_DIR)
    .option(...JSON_OUT)
    .action(printWorkers);
  seam
    .command('blocks')
    .description('blocks the pool found')
    .option(...RUN_DIR)
    .option(...JSON_OUT)
    .action(printBlocks);
  seam
    .command('logs [name]')
    .description('output of one process, or of all')
    .option(...RUN_DIR)
    .option('-f, --follow', 'go on')
    .action(logs);
  const config = seam.command('config').description('the configuration');
  config
    .command('check')
    .description('say everything that is wrong')
    .option(...CONFIG)
    .option(...RUN_DIR)
    .action(configCheck);
  config
    .command('print')
    .description('the whole configuration with its defaults')
    .option(...CONFIG)
    .option(...RUN_DIR)
    .action(configPrint);
  config
    .command('apply')
    .description('import it into the running mesh')
    .option(...CONFIG)
    .option(...RUN_DIR)
    .action(configApply);
  seam
    .command('chaos')
    .description(
      'kill, stop and freeze everything behind the frontends under load, on a mesh of its own',
    )
    .option('--minutes <n>', 'at least one round of all scenarios, then more', '1')
    .option('--miners <n>', 'how many miners', '300')
    .option('--seed <n>', 'order and names', '1')
    .action(chaos);
  seam
    .command('test [paths...]')
    .description('run every check and test, or those of some paths')
    .action(test);
  return seam;
}

try {
  await program().parseAsync();
} catch (error) {
  if (error instanceof CommandError) process.stderr.write(`seam: ${error.message}\n`);
  else
    process.stderr.write(
      `seam: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
    );
  process.exitCode = error instanceof CommandError ? error.exitCode : EXIT.software;
}
