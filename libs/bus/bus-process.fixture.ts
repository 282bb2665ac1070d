/** A bus in a process of its own, which a test may kill, freeze or ask to end. Run by `startBusProcess`. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { z } from 'zod';
import { defineRpc, defineTopic } from '#libs/contracts/define.ts';
import { waitFor } from '#test/harness/wait-for.ts';
import { joinZeromq } from './bus.fixture.ts';
import type { BusPeer } from './bus.ts';
import type { BusSelf } from './bus-core.ts';

export const counted = defineTopic(
  'test.counted',
  1,
  z.object({ n: z.int(), padding: z.string() }),
);
export const hang = defineRpc('test.hang', 1, { request: z.object({}), reply: z.object({}) });
export const ping = defineRpc('test.ping', 1, { request: z.object({}), reply: z.object({}) });

/** What the subscriber in the process was told: a sequence, or 'gap'. */
export type Told = number | 'gap';

type Order =
  | { readonly kind: 'set_peers'; readonly peers: readonly BusPeer[] }
  | { readonly kind: 'publish'; readonly count: number; readonly paddingBytes: number }
  | { readonly kind: 'tell' }
  | { readonly kind: 'dispose' };
type Report =
  | { readonly kind: 'ready'; readonly peer: BusPeer }
  | { readonly kind: 'told'; readonly told: readonly Told[] };

export interface BusProcess extends AsyncDisposable {
  readonly peer: BusPeer;
  order(order: Order): void;
  told(): Promise<readonly Told[]>;
  signal(signal: NodeJS.Signals): void;
  /** Resolves with the exit code and what it wrote as errors. */
  readonly exited: Promise<{ readonly code: number | null; readonly stderr: string }>;
}

export async function startBusProcess(
  self: BusSelf,
  portRange?: readonly [number, number],
): Promise<BusProcess> {
  const args = [JSON.stringify({ self, portRange })];
  const child = fork(import.meta.filename, args, {
    stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
    execArgv: [],
  });
  const reports: Report[] = [];
  let stderr = '';
  child.on('message', (report) => reports.push(report as Report)); // Of our own program.
  child.stderr?.on('data', (chunk) => (stderr += String(chunk)));
  const exited = once(child, 'close').then(([code]) => ({ code: code as number | null, stderr }));
  const ready = await waitFor(() => reports.find(({ kind }) => kind === 'ready'), {
    what: 'the process',
  });
  if (ready.kind !== 'ready') throw new Error('Cannot start');
  return {
    peer: ready.peer,
    exited,
    order: (order) => child.send(order),
    async told() {
      reports.length = 0;
      child.send({ kind: 'tell' });
      const report = await waitFor(() => reports.find(({ kind }) => kind === 'told'));
      return report.kind === 'told' ? report.told : [];
    },
    signal: (signal) => child.kill(signal),
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await exited;
    },
  };
}

async function main(): Promise<void> {
  const { self, portRange } = JSON.parse(process.argv[2] ?? '') as {
    self: BusSelf;
    portRange?: readonly [number, number];
  };
  const { bus, asPeer } = await joinZeromq(self, portRange === undefined ? {} : { portRange });
  const told: Told[] = [];
  const onGap = () => told.push('gap');
  bus.subscribe(counted, '', (_, { seq }) => told.push(seq), onGap);
  bus.serve(hang, () => new Promise(() => undefined));
  bus.serve(ping, () => ({}));
  let n = 0;
  const orders: { [Kind in Order['kind']]: (order: Extract<Order, { kind: Kind }>) => void } = {
    set_peers: ({ peers }) => bus.setPeers(peers),
    publish({ count, paddingBytes }) {
      const padding = 'x'.repeat(paddingBytes);
      for (let left = count; left > 0; left -= 1)
        bus.publish(counted, '', { n: (n += 1), padding });
    },
    tell: () => process.send?.({ kind: 'told', told } satisfies Report),
    dispose() {
      void bus[Symbol.asyncDispose]();
      process.disconnect?.();
    },
  };
  process.on('message', (order: Order) => {
    const carryOut = orders[order.kind] as (order: Order) => void; // The kind chose it.
    carryOut(order);
  });
  process.send?.({ kind: 'ready', peer: asPeer } satisfies Report);
}

if (import.meta.main) await main();
