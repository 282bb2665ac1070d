/** The side that takes: listens for predecessors, collects their descriptors, and serves them from `go` on. */
import { spawn } from 'node:child_process';
import { createServer, type Server, Socket } from 'node:net';
import type { Logger } from 'pino';
import { listenUnix } from '#libs/runtime/listen-unix.ts';
import {
  HANDOVER_VERSIONS,
  type HandoverMessage,
  type TravellingState,
} from '../core/handover-message.ts';
import { stepTake, type TakeEvent, type TakeState } from '../core/handover-taker.ts';
import { type Channel, openChannel } from './handover-channel.ts';
import { channelEnv, parcelOf } from './handover-courier.ts';
import { type HandoverPaths, makeHandoverFolder } from './handover-paths.ts';
import { stopReading } from './raw-reading.ts';

export interface TakerOptions {
  readonly name: string;
  readonly folder: string;
  readonly paths: HandoverPaths;
  /** [connections] that may be taken now; 0: none, for whatever reason */
  readonly room: () => number;
  readonly connections: () => number;
  readonly adopt: (socket: Socket, state: Uint8Array) => void;
  /** All of a slice are adopted. */
  readonly onAdopted: () => void;
  readonly log: Logger;
}

interface Slice {
  readonly key: string;
  readonly number: number;
  readonly count: number;
  readonly sockets: Map<number, Socket>;
  state: TakeState;
}

interface Session {
  channel: Channel;
  giver: string;
  readonly slices: Map<number, Slice>;
}

/** [processes] that bring descriptors at a time */
const RELAYS_MAX = 8;
/** [slices] remembered as started, for givers in doubt */
const STARTED_KEPT = 4_096;
/** [connections] in a slice */
export const SLICE_MAX = 250;

/** Node's `ipc` option would take the variable that names the channel: `env` sets it again. See `handover-courier.ts`. */
const RELAY = ['NODE_CHANNEL_FD=4', process.execPath, courierPath(), 'relay'];

export function courierPath(): string {
  return new URL('./handover-courier.ts', import.meta.url).pathname;
}

export class Taker implements AsyncDisposable {
  readonly #options: TakerOptions;
  readonly #sessions = new Set<Session>();
  readonly #slices = new Map<string, Slice>();
  readonly #started = new Set<string>();
  readonly #acquired = new AsyncDisposableStack();
  #relays = 0;

  constructor(options: TakerOptions) {
    this.#options = options;
  }

  async listen(): Promise<void> {
    const { folder, paths } = this.#options;
    await makeHandoverFolder(folder);
    await this.#serve(
      createServer({ pauseOnConnect: true }, (link) => this.#relay(link)),
      paths.descriptors,
    );
    await this.#serve(
      createServer((socket) => this.#greet(socket)),
      paths.control,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { channel } of [...this.#sessions]) channel.close();
    await this.#acquired.disposeAsync();
  }

  async #serve(server: Server, path: string): Promise<void> {
    server.on('error', (error) => this.#options.log.warn({ err: error }, 'hand-over socket'));
    this.#acquired.use(await listenUnix(server, path));
  }

  #greet(socket: Socket): void {
    const slices = new Map<number, Slice>();
    const channel = openChannel(socket, {
      onMessage: (message) => this.#hear(session, message),
      onLost: () => this.#lose(session),
    });
    const session: Session = { channel, giver: '', slices };
    this.#sessions.add(session);
  }

  #hear(session: Session, message: HandoverMessage): void {
    switch (message.kind) {
      case 'hello':
        return this.#welcome(session, message.giver, message.versions);
      case 'offer':
        return this.#offered(session, message.slice, message.count);
      case 'go': {
        const slice = session.slices.get(message.slice);
        if (slice === undefined) return session.channel.close();
        return this.#step(session, slice, 'go', message.states);
      }
      case 'ask':
        return this.#tell(session, message.giver, message.slice);
      default:
        return undefined;
    }
  }

  #welcome(session: Session, giver: string, versions: readonly number[]): void {
    this.#endOthers(session, giver);
    session.giver = giver;
    const common = versions.filter((version) => HANDOVER_VERSIONS.includes(version));
    const { name, connections } = this.#options;
    session.channel.send({
      kind: 'welcome',
      taker: name,
      version: Math.max(0, ...common),
      room: this.#room(),
      connections: connections(),
    });
  }

  /** A giver that comes again has given up its other channel: what was not started there never will be. */
  #endOthers(session: Session, giver: string): void {
    for (const other of [...this.#sessions]) {
      if (other === session || other.giver !== giver) continue;
      other.channel.close();
      this.#lose(other);
    }
  }

  #tell(session: Session, giver: string, slice: number): void {
    this.#endOthers(session, giver);
    const isStarted = this.#started.has(keyOf(giver, slice));
    session.channel.send({ kind: 'verdict', slice, isStarted });
  }

  #room(): number {
    let coming = 0;
    for (const slice of this.#slices.values()) coming += slice.count;
    return Math.max(0, this.#options.room() - coming);
  }

  #offered(session: Session, number: number, count: number): void {
    const key = keyOf(session.giver, number);
    const isUsable = session.giver !== '' && !this.#slices.has(key) && !this.#started.has(key);
    if (!isUsable || count === 0 || count > SLICE_MAX || count > this.#room())
      return session.channel.send({ kind: 'refused', slice: number });
    const slice: Slice = { key, number, count, sockets: new Map(), state: 'collecting' };
    session.slices.set(number, slice);
    this.#slices.set(key, slice);
    session.channel.send({ kind: 'accepted', slice: number });
  }

  #step(
    session: Session,
    slice: Slice,
    event: TakeEvent,
    states: readonly TravellingState[] = [],
  ): void {
    const { state, effects } = stepTake(slice.state, event);
    slice.state = state;
    for (const effect of effects) {
      if (effect === 'say_held') session.channel.send({ kind: 'held', slice: slice.number });
      else if (effect === 'adopt') this.#adopt(session, slice, states);
      else this.#drop(session, slice);
    }
  }

  #adopt(session: Session, slice: Slice, states: readonly TravellingState[]): void {
    const { adopt, onAdopted, log } = this.#options;
    this.#remember(slice.key);
    for (const { index, state } of states) {
      const socket = slice.sockets.get(index);
      slice.sockets.delete(index);
      if (socket !== undefined) adopt(socket, state);
    }
    this.#drop(session, slice); // The others stay with the giver.
    onAdopted();
    session.channel.send({ kind: 'started', slice: slice.number });
    log.info({ giver: session.giver, connections: states.length }, 'connections taken over');
  }

  #remember(key: string): void {
    this.#started.add(key);
    if (this.#started.size <= STARTED_KEPT) return;
    for (const oldest of this.#started) return void this.#started.delete(oldest);
  }

  #drop(session: Session, slice: Slice): void {
    for (const socket of slice.sockets.values()) socket.destroy();
    slice.sockets.clear();
    this.#slices.delete(slice.key);
    session.slices.delete(slice.number);
  }

  #lose(session: Session): void {
    if (!this.#sessions.delete(session)) return;
    for (const slice of [...session.slices.values()]) this.#step(session, slice, 'channel_lost');
  }

  /** The connection becomes the channel of a child, which passes on what comes out of it. */
  #relay(link: Socket): void {
    link.on('error', () => undefined); // Its end is seen by the child.
    if (this.#relays === RELAYS_MAX) return void link.destroy();
    this.#relays += 1;
    const child = spawn('/usr/bin/env', RELAY, {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc', link],
      serialization: 'advanced',
      env: channelEnv(4),
    });
    link.destroy();
    child.on('error', (error) => this.#options.log.warn({ err: error }, 'no relay'));
    child.once('close', () => {
      this.#relays -= 1;
    });
    child.on('message', (message: unknown, socket: unknown) => {
      if (!(socket instanceof Socket)) return;
      stopReading(socket);
      const isLast = this.#collect(message, socket);
      if (isLast && child.connected) child.disconnect();
    });
  }

  /** True if the slice is whole, or unknown. */
  #collect(message: unknown, socket: Socket): boolean {
    socket.on('error', () => undefined); // Seen when it is served.
    const parcel = parcelOf(message);
    const slice = parcel === undefined ? undefined : this.#slices.get(parcel.key);
    if (parcel === undefined || slice?.state !== 'collecting' || slice.sockets.has(parcel.index)) {
      socket.destroy();
      return true;
    }
    slice.sockets.set(parcel.index, socket);
    if (slice.sockets.size < slice.count) return false;
    const session = [...this.#sessions].find(({ slices }) => slices.get(slice.number) === slice);
    if (session !== undefined) this.#step(session, slice, 'complete');
    return true;
  }
}

function keyOf(giver: string, slice: number): string {
  return `${giver}/${slice}`;
}
