/** `seam down`: ends what `seam up` started in this run folder, and nothing else. */
import { listRecords, type ProcessRecord } from '#libs/runtime/process-records.ts';
import { stopProcess } from '#tools/launcher/helper-process.ts';
import { type RunFolder, runFolder } from '../run-folder.ts';
import { progress } from '../terminal.ts';

export interface DownOptions {
  readonly runDir?: string;
  readonly quiet?: boolean;
}

const LAUNCHER_GRACE_MS = 60_000;

export async function down(options: DownOptions): Promise<void> {
  const folder = runFolder(options.runDir);
  const say = options.quiet === true ? () => undefined : progress;
  const helpers = { records: folder.helpers, logs: folder.logs };
  const services = { records: folder.records, logs: folder.logs };
  const launcher = (await listRecords(helpers)).find((record) => record.name === 'launcher');
  const count = (await listRecords(helpers)).length + (await listRecords(services)).length;
  if (count === 0) return say('nothing is running');
  say(`stopping ${count} processes ...`);
  if (launcher !== undefined) await stopProcess(helpers, launcher, 'SIGTERM', LAUNCHER_GRACE_MS);
  await stopLeftOvers(folder);
  say('stopped');
}

/** What a killed launcher left behind: whoever starts things first, what the services stand on last. */
async function stopLeftOvers(folder: RunFolder): Promise<void> {
  const helpers = { records: folder.helpers, logs: folder.logs };
  const services = { records: folder.records, logs: folder.logs };
  const of = async (pattern: RegExp) =>
    (await listRecords(helpers)).filter((record) => pattern.test(record.name));
  const stop = async (records: readonly ProcessRecord[], at = helpers) =>
    void (await Promise.all(records.map((record) => stopProcess(at, record, 'SIGTERM', 15_000))));
  await stop(await of(/^(converger|demo-miner)/));
  await stop(await of(/^haproxy/));
  await stop(await listRecords(services), services);
  await stop(await of(/./));
}
