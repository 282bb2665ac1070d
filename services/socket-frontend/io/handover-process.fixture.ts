/**
 * A frontend as a process of its own, with an echo server inside: `<folder> <slot> <boot id> <fault>`. Says `ready`; gives
 * its connections away on SIGTERM. Faults: see {@link Fault}.
 */
import { handoverFolder, handoverPaths } from './handover-paths.ts';
import { createMetrics } from '../metrics.ts';
import { Registry } from '@prometheus-io/client';
import { pino } from 'pino';
import { startFrontend } from './frontend.fixture.ts';
import { Giver } from './handover-give.ts';
import { Taker } from './handover-take.ts';

export type Fault =
  | 'none'
  /** As taker: dies when connections are offered, or when it is told to go on with them. */
  | 'dies_at_offer'
  | 'dies_at_go'
  /** As giver: dies in the turn in which it said `go`. */
  | 'dies_after_go'
  /** As giver: speaks only a version nobody knows. */
  | 'unknown_version';

async function serve(folder: string, slot: number, bootId: string, fault: string): Promise<void> {
  const fixture = await startFrontend({}, { folder, slot });
  await fixture.startServer(`stratum-server-${slot}`);
  const { travel } = fixture.frontend;
  const log = pino({ enabled: false });
  const die = () => process.kill(process.pid, 'SIGKILL');
  let looks = 0;
  const taker = new Taker({
    name: bootId,
    folder: handoverFolder(folder),
    paths: handoverPaths(handoverFolder(folder), bootId),
    room: () => {
      looks += 1;
      if (fault === 'dies_at_offer' && looks > 1) die();
      return fixture.frontend.room;
    },
    connections: () => fixture.frontend.connectionCount,
    adopt: (socket, state) => {
      if (fault === 'dies_at_go') die();
      travel.adopt(socket, state);
    },
    onAdopted: () => travel.adopted(),
    log,
  });
  await taker.listen();
  const giver = new Giver({
    bootId,
    folder: handoverFolder(folder),
    travel: {
      get size() {
        return travel.size;
      },
      candidates: (max, busy) => travel.candidates(max, busy),
      descriptor: (handle) => travel.descriptor(handle),
      pack: (handle) => {
        if (fault === 'dies_after_go') setImmediate(die);
        return travel.pack(handle);
      },
      release: (handles) => travel.release(handles),
      takeBack: (handles, isAfterCrash) => travel.takeBack(handles, isAfterCrash),
    },
    metrics: createMetrics(new Registry()),
    log,
    ...(fault === 'unknown_version' ? { versions: [99] } : {}),
  });
  process.on('SIGTERM', () => {
    const signal = AbortSignal.timeout(50_000);
    const drained = fixture.frontend.drain(signal, async () => undefined);
    void Promise.all([drained, giver.run(signal)]).then(() => process.exit(0));
  });
  process.stdout.write('ready\n');
}

if (import.meta.main) {
  const [folder = '', slot = '1', bootId = '', fault = 'none'] = process.argv.slice(2);
  await serve(folder, Number(slot), bootId, fault);
}
