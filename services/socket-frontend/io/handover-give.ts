/** The side that gives: finds successors in the hand-over folder and gives them every connection, a slice at a time. */
import { spawn } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { type GiveEvent, type GiveState, stepGive } from '../core/handover-giver.ts';
import {
  FRAME_BYTES_MAX,
  HANDOVER_VERSIONS,
  type HandoverMessage,
  type TravellingState,
} from '../core/handover-message.ts';
import type { Metrics } from '../metrics.ts';
import { type Channel, openChannel } from './handover-channel.ts';
import { channelEnv } from './handover-courier.ts';
import { handoverPaths, listHandoverPeers, newGiverName } from './handover-paths.ts';
import { courierPath, SLICE_MAX } from './handover-take.ts';
import type { Travel } from './travel.ts';

export interface GiverOptions {
  readonly bootId: string;
  readonly folder: string;
  readonly travel: Pick<
    Travel,
    'size' | 'candidates' | 'descriptor' | 'pack' | 'release' | 'takeBack'
  >;
  readonly metrics: Pick<Metrics, 'slicesFailed'>;
  readonly log: Logger;
  /** Default: ours. */
  readonly versions?: readonly number[];
}

interface Slice {
  readonly number: number;
  readonly handles: readonly number[];
  readonly late: NodeJS.Timeout;
  given: readonly number[];
  state: GiveState;
}

interface Successor {
  readonly bootId: string;
  readonly channel: Channel;
  readonly slices: Map<number, Slice>;
  /** Undefined until it says welcome. */
  connections: number | undefined;
  room: number;
}

/** [ms] between looks for successors and connections to give */
const LOOK_MS = 50;
/** [ms] a slice may take to `held`: three starts of a process on a busy machine */
const LATE_MS = 15_000;
/** [ms] a successor that refused or failed is left alone */
const AVOID_MS = 500;
/** [ms] between questions, and for an answer */
const ASK_AGAIN_MS = 200;
const ASK_WAIT_MS = 2_000;
/** [slices] of one successor at a time: one is on its way while the other goes */
const SLICES_AT_ONCE = 2;

export class Giver {
  readonly #options: GiverOptions;
  readonly #name: string;
  readonly #successors = new Map<string, Successor>();
  readonly #avoided = new Set<string>();
  readonly #busy = new Set<number>();
  #lastSlice = 0;
  #isOver = false;

  constructor(options: GiverOptions) {
    this.#options = options;
    this.#name = newGiverName(options.bootId);
  }

  /** Resolves when nothing is left to give, or the signal says that it took too long. */
  async run(signal: AbortSignal): Promise<void> {
    while (this.#options.travel.size > 0 && !signal.aborted) {
      await this.#look();
      this.#offer();
      await sleep(LOOK_MS);
    }
    this.#isOver = true;
    for (const { channel } of this.#successors.values()) channel.close();
  }

  async #look(): Promise<void> {
    const { folder, bootId } = this.#options;
    for (const peer of await listHandoverPeers(folder)) {
      if (peer === bootId || this.#successors.has(peer) || this.#avoided.has(peer)) continue;
      this.#avoid(peer);
      await this.#meet(peer);
    }
  }

  /** Not tried again for a while; whoever is in contact is not tried anyway. */
  #avoid(peer: string): void {
    this.#avoided.add(peer);
    setTimeout(() => this.#avoided.delete(peer), AVOID_MS).unref();
  }

  async #meet(bootId: string): Promise<void> {
    const paths = handoverPaths(this.#options.folder, bootId);
    const reached = await reach(paths.control);
    if (reached === 'dead') {
      await Promise.all(
        [paths.control, paths.descriptors].map((path) => rm(path, { force: true })),
      );
      return;
    }
    if (reached === 'unknown') return;
    const channel = openChannel(reached, {
      onMessage: (message) => this.#hear(successor, message),
      onLost: () => this.#lose(successor),
    });
    const successor: Successor = {
      bootId,
      channel,
      slices: new Map(),
      connections: undefined,
      room: 0,
    };
    this.#successors.set(bootId, successor);
    const { versions = HANDOVER_VERSIONS } = this.#options;
    channel.send({ kind: 'hello', giver: this.#name, versions });
  }

  #hear(successor: Successor, message: HandoverMessage): void {
    if (message.kind === 'welcome') {
      if (message.version === 0 || message.room === 0) return successor.channel.close();
      successor.connections = message.connections;
      successor.room = message.room;
      return;
    }
    if (!('slice' in message)) return;
    const slice = successor.slices.get(message.slice);
    if (slice !== undefined && isGiveEvent(message.kind))
      this.#step(successor, slice, message.kind);
  }

  /** Everybody gets a part, who has least first. */
  #offer(): void {
    const { travel } = this.#options;
    for (const { room, connections, slices, channel } of [...this.#successors.values()])
      if (connections !== undefined && room === 0 && slices.size === 0) channel.close(); // Asked again in a while.
    const willing = [...this.#successors.values()]
      .filter(
        ({ connections, slices }) => connections !== undefined && slices.size < SLICES_AT_ONCE,
      )
      .toSorted((one, other) => (one.connections ?? 0) - (other.connections ?? 0));
    if (willing.length === 0) return;
    const left = travel.candidates(SLICE_MAX * willing.length, this.#busy);
    const part = Math.ceil(left.length / willing.length);
    for (const [index, successor] of willing.entries()) {
      const room = Math.min(part, successor.room);
      const handles = left.slice(index * part, index * part + room);
      if (handles.length > 0) this.#offerSlice(successor, handles);
    }
  }

  #offerSlice(successor: Successor, handles: readonly number[]): void {
    this.#lastSlice += 1;
    const slice: Slice = {
      number: this.#lastSlice,
      handles,
      late: setTimeout(() => this.#step(successor, slice, 'late'), LATE_MS),
      given: [],
      state: 'offered',
    };
    for (const handle of handles) this.#busy.add(handle);
    successor.slices.set(slice.number, slice);
    successor.room -= handles.length;
    successor.connections = (successor.connections ?? 0) + handles.length;
    successor.channel.send({ kind: 'offer', slice: slice.number, count: handles.length });
  }

  #step(successor: Successor, slice: Slice, event: GiveEvent): void {
    const { travel, metrics } = this.#options;
    const { state, effects } = stepGive(slice.state, event);
    const isOver = (state === 'done' || state === 'kept') && slice.state !== state;
    slice.state = state;
    if (isOver) this.#end(successor, slice);
    if (isOver && state === 'kept') metrics.slicesFailed.inc({ reason: event });
    for (const effect of effects) {
      if (effect === 'send_descriptors') void this.#sendDescriptors(successor, slice);
      else if (effect === 'go') this.#go(successor, slice);
      else if (effect === 'release') travel.release(slice.given);
      else if (effect === 'resume') travel.takeBack(slice.given, false);
      else if (effect === 'resume_after_crash') travel.takeBack(slice.given, true);
      else if (effect === 'ask') void this.#ask(successor, slice);
      else successor.channel.close();
    }
    if (event === 'refused') successor.channel.close(); // Asked again in a while.
  }

  #end({ slices }: Successor, { number, handles, late }: Slice): void {
    clearTimeout(late);
    slices.delete(number);
    for (const handle of handles) this.#busy.delete(handle);
  }

  /** The descriptors are duplicated into a child and travel while we serve on. */
  async #sendDescriptors(successor: Successor, slice: Slice): Promise<void> {
    const { folder, travel, log } = this.#options;
    const link = await reach(handoverPaths(folder, successor.bootId).descriptors);
    if (link === 'dead' || link === 'unknown') return this.#step(successor, slice, 'late');
    // The link stands in for one that was closed meanwhile: it gets no state, so it is dropped.
    const inherited = slice.handles.map((handle) => travel.descriptor(handle) ?? link);
    const [key, count] = [`${this.#name}/${slice.number}`, String(slice.handles.length)];
    const indices = slice.handles.map((_, index) => index).join(',');
    const child = spawn(process.execPath, [courierPath(), 'send', key, indices, count], {
      stdio: ['ignore', 'ignore', 'inherit', link, ...inherited],
      env: channelEnv(3),
    });
    link.destroy();
    child.on('error', (error) => log.warn({ err: error }, 'no courier'));
  }

  /** From here to `started` nobody serves them: all in one turn of the event loop. */
  #go(successor: Successor, slice: Slice): void {
    const { travel, log } = this.#options;
    clearTimeout(slice.late);
    const states: TravellingState[] = [];
    let bytes = 0;
    for (const [index, handle] of slice.handles.entries()) {
      const state = bytes > FRAME_BYTES_MAX / 2 ? undefined : travel.pack(handle);
      if (state === undefined) continue;
      states.push({ index, state });
      bytes += state.length;
    }
    const packed = new Set(states.map(({ index }) => index));
    slice.given = slice.handles.filter((_, index) => packed.has(index));
    successor.channel.send({ kind: 'go', slice: slice.number, states });
    log.info({ successor: successor.bootId, connections: states.length }, 'connections given');
  }

  #lose(successor: Successor): void {
    this.#successors.delete(successor.bootId);
    this.#avoid(successor.bootId);
    if (this.#isOver) return;
    for (const slice of [...successor.slices.values()])
      this.#step(successor, slice, 'channel_lost');
  }

  /** See Note [Doubt]. Asks until there is an answer or nobody to give one. */
  async #ask(successor: Successor, slice: Slice): Promise<void> {
    const { control } = handoverPaths(this.#options.folder, successor.bootId);
    while (slice.state === 'doubt' && !this.#isOver) {
      const reached = await reach(control);
      if (reached === 'dead') return this.#step(successor, slice, 'taker_dead');
      const verdict =
        reached === 'unknown' ? undefined : await this.#question(reached, slice.number);
      if (verdict !== undefined) return this.#step(successor, slice, verdict);
      await sleep(ASK_AGAIN_MS);
    }
  }

  async #question(
    socket: Socket,
    slice: number,
  ): Promise<'told_started' | 'told_discarded' | undefined> {
    return await new Promise((resolve) => {
      const channel = openChannel(socket, {
        onMessage: (message) => {
          if (message.kind !== 'verdict' || message.slice !== slice) return;
          resolve(message.isStarted ? 'told_started' : 'told_discarded');
          channel.close();
        },
        onLost: () => resolve(undefined),
      });
      setTimeout(() => channel.close(), ASK_WAIT_MS).unref();
      channel.send({ kind: 'ask', giver: this.#name, slice });
    });
  }
}

function isGiveEvent(kind: string): kind is 'accepted' | 'refused' | 'held' | 'started' {
  return kind === 'accepted' || kind === 'refused' || kind === 'held' || kind === 'started';
}

/** A connection to whoever listens there, nothing read from it yet. `dead`: proved that nobody does. */
async function reach(path: string): Promise<Socket | 'dead' | 'unknown'> {
  return await new Promise((resolve) => {
    const socket = connect(path);
    socket.pause();
    socket.once('connect', () => resolve(socket));
    socket.once('error', (error) => resolve(isNobody(error) ? 'dead' : 'unknown'));
  });
}

/** Any other error, as of a backlog that is full, proves nothing. */
function isNobody(error: Error): boolean {
  return 'code' in error && (error.code === 'ECONNREFUSED' || error.code === 'ENOENT');
}
