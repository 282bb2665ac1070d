/**
 * Carries descriptors between two processes that are not related: Node passes them over the IPC channel of a child only,
 * and a running process cannot become a child. So children do it (see docs/handover.md):
 *
 * `send`: descriptors from 4 on, inherited from whoever spawned it, go one by one over its channel (descriptor 3).
 * `relay`: its channel (4) is the connection to the other host process' `send`; 3 is the channel to the process that
 * spawned it, which it cannot use itself. When it has all, it spawns a `send` on 3 with them.
 *
 * Nobody here reads from a miner's socket or writes to it.
 */
import { spawn } from 'node:child_process';
import { Socket } from 'node:net';
import { stopReading } from './raw-reading.ts';

/** What comes with a descriptor. */
export interface Parcel {
  /** Names the slice among all givers. */
  readonly key: string;
  /** Which of the slice it is, from 0. */
  readonly index: number;
  /** How many the slice has. */
  readonly count: number;
}

/** A channel at a descriptor of our choice, as Node's `ipc` would make it. */
export function channelEnv(descriptor: number): Record<string, string> {
  return {
    NODE_CHANNEL_FD: String(descriptor),
    NODE_CHANNEL_SERIALIZATION_MODE: 'advanced',
  };
}

/** Undefined if the message is none of ours. */
export function parcelOf(message: unknown): Parcel | undefined {
  if (typeof message !== 'object' || message === null) return undefined;
  const { key, index, count } = message as Partial<Record<keyof Parcel, unknown>>; // Checked below.
  if (typeof key !== 'string' || typeof index !== 'number' || typeof count !== 'number')
    return undefined;
  return { key, index, count };
}

function send(key: string, indices: readonly number[], count: number): void {
  process.on('disconnect', () => process.exit(0));
  indices.forEach((index, position) => {
    const socket = new Socket({ fd: 4 + position, readable: false, writable: true });
    process.send?.({ key, index, count }, socket);
  });
}

function relay(): void {
  const received: { readonly parcel: Parcel; readonly socket: Socket }[] = [];
  process.on('message', (message: unknown, socket: unknown) => {
    const parcel = parcelOf(message);
    if (parcel === undefined || !(socket instanceof Socket)) return process.exit(1);
    stopReading(socket);
    received.push({ parcel, socket });
    if (received.length === parcel.count) pass(parcel, received);
  });
  process.on('disconnect', () => {
    if (received.length === 0 || received.length < (received[0]?.parcel.count ?? 0))
      process.exit(1);
  });
}

function pass(
  { key, count }: Parcel,
  received: readonly { readonly parcel: Parcel; readonly socket: Socket }[],
): void {
  const indices = received.map(({ parcel }) => parcel.index);
  const child = spawn(
    process.execPath,
    [import.meta.filename, 'send', key, indices.join(','), String(count)],
    {
      stdio: ['ignore', 'ignore', 'inherit', 3, ...received.map(({ socket }) => socket)],
      env: channelEnv(3),
    },
  );
  child.on('error', () => process.exit(1));
  child.on('exit', (code) => process.exit(code ?? 1));
  process.disconnect?.();
}

if (import.meta.main) {
  const [mode, key = '', indices = '', count = '0'] = process.argv.slice(2);
  if (mode === 'relay') relay();
  else send(key, indices.split(',').map(Number), Number(count));
}
