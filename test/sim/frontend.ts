/** A socket-frontend process: the real switchboard and links, wired as `io/frontend.ts` does, on simulated sockets. */
import { Registry as MetricRegistry } from '@prometheus-io/client';
import { quietLog } from '#libs/journal/record.fixture.ts';
import type { DownItem } from '#libs/link/items.ts';
import { DEFAULT_LIMITS } from '#services/socket-frontend/core/limits.ts';
import { Switchboard } from '#services/socket-frontend/core/switchboard.ts';
import { Links } from '#services/socket-frontend/io/links.ts';
import { createMetrics } from '#services/socket-frontend/metrics.ts';
import type { Process } from './clock.ts';
import { LISTENER, type Parts } from './server.ts';
import { count, moment } from './world.ts';

/** What a miner's socket tells the miner. */
export interface MinerEnd {
  hear(text: string): void;
  /** [ms] when the last byte of what it said was read */
  read(nowMs: number): void;
  closed(reason: string): void;
}

interface Socket {
  readonly end: MinerEnd;
  isReading: boolean;
  /** What the kernel has for us. */
  backlog: Buffer[];
  /** [ms] nothing before: bytes come in order */
  inMs: number;
  outMs: number;
}

const TICK_MS = 250;
const PLACE_SLICE = 3;
const LIMITS = {
  ...DEFAULT_LIMITS,
  lineBytesMax: 1_024,
  unacknowledgedLinesMax: 8,
  holdMs: 45_000,
  firstLineMs: 30_000,
};

function textOf(item: DownItem): string {
  const where = 'handle' in item ? `${item.handle}.${item.opening}` : '';
  const text = item.kind === 'write' ? Buffer.from(item.bytes).toString().slice(0, 80).trim() : '';
  return `${item.kind} ${where} ${item.kind === 'ack' ? item.seq : text}`;
}

export class Frontend {
  readonly process: Process;
  readonly #parts: Parts;
  readonly #sockets = new Map<number, Socket>();
  readonly #switchboard: Switchboard;
  #links: Links | undefined;
  #handles = 0;
  #isPlacing = false;

  constructor(parts: Parts, id: string, boot: number) {
    this.#parts = parts;
    const { world, records, network } = parts;
    const { clock, dice } = world;
    const bootId = boot.toString(16).padStart(16, 'f');
    this.process = clock.spawn(id);
    const now = () => clock.nowMs;
    const board = new Switchboard({
      limits: LIMITS,
      heldBytesMax: 1_000_000,
      random: () => dice.next(),
      ports: {
        send: (server, item) => {
          if (item.kind !== 'line')
            world.trace(`${id} to ${server}: ${item.kind} ${item.handle}.${item.opening}`);
          else world.trace(`${id} to ${server}: line ${item.handle}.${item.opening} ${item.seq}`);
          this.#links?.send(server, item);
        },
        isCongested: (server) => this.#links?.isCongested(server) ?? false,
        write: (handle, bytes) => this.#write(handle, Buffer.from(bytes)),
        setReading: (handle, on) => {
          const socket = this.#sockets.get(handle);
          if (socket === undefined) return;
          socket.isReading = on;
          if (on) clock.post(this.process, 0, () => this.#read(handle));
        },
        sayFin: (handle) => this.#close(handle, 'fin'),
        destroy: (handle) => this.#close(handle, 'destroyed'),
        closed: ({ facts: { handle } }, reason) => this.#close(handle, reason),
        count: (what, by) => count(world, what, by),
        placed: () => undefined,
        moved: (by) => count(world, 'connections moved', by),
      },
    });
    this.#switchboard = board;
    clock.post(this.process, 0, () => {
      this.#links = new Links({
        registry: records.for(this.process),
        connect: (server, handlers) =>
          network.connect(this.process, { id, bootId }, server, handlers),
        metrics: createMetrics(new MetricRegistry()),
        log: quietLog,
        events: {
          onUp: (server) => board.addServer(server),
          onItems: (server, items) => {
            for (const item of items) world.trace(`${id} from ${server}: ${textOf(item)}`);
            board.apply(server, items, now());
            if (items.some(({ kind }) => kind === 'listen')) this.#placeWaiting();
          },
          onHeartbeat: (server, { load, accepts }) => {
            board.hear(server, load, accepts);
            if (board.waitingCount > 0) this.#placeWaiting();
          },
          onEnded: (server) => {
            board.removeServer(server, now());
            this.#placeWaiting();
          },
        },
      });
      setInterval(() => {
        board.tick(now());
        board.rebalance(now());
        this.#placeWaiting();
      }, TICK_MS);
    });
  }

  /** A miner connects. Called from the world; what it gives is the miner's side of the socket. */
  accept(conn: string, end: MinerEnd): number {
    const { clock } = this.#parts.world;
    this.#handles += 1;
    const handle = this.#handles;
    this.#sockets.set(handle, { end, isReading: true, backlog: [], inMs: 0, outMs: 0 });
    const facts = { handle, conn, peerAddress: '192.0.2.1', peerPort: 1, listener: LISTENER.name };
    clock.post(this.process, 0, () =>
      this.#switchboard.accept({ ...facts, tls: '', acceptedMs: clock.nowMs }),
    );
    return handle;
  }

  /** A miner says something: it arrives in pieces. */
  say(handle: number, text: string): void {
    const { world } = this.#parts;
    const socket = this.#sockets.get(handle);
    if (socket === undefined) return;
    const at = world.dice.chance(0.2) ? world.dice.between(1, text.length - 1) : text.length;
    for (const piece of [text.slice(0, at), text.slice(at)]) {
      if (piece === '') continue;
      socket.inMs = Math.max(socket.inMs, world.clock.nowMs + moment(world));
      world.clock.post(this.process, socket.inMs - world.clock.nowMs, () => {
        socket.backlog.push(Buffer.from(piece));
        this.#read(handle);
      });
    }
  }

  /** Moves a connection though its server lives and may be answering it. */
  move(): void {
    const { clock, dice } = this.#parts.world;
    const handle = dice.pick([...this.#sockets.keys()]);
    if (handle === undefined) return;
    count(this.#parts.world, 'moved while busy');
    clock.post(this.process, 0, () =>
      this.#switchboard.take(handle, { kind: 'moved_away' }, clock.nowMs),
    );
  }

  /** The process is gone, and its sockets with it. */
  lost(): void {
    for (const handle of [...this.#sockets.keys()]) this.#close(handle, 'frontend lost', true);
  }

  #read(handle: number): void {
    const { nowMs } = this.#parts.world.clock;
    const socket = this.#sockets.get(handle);
    while (socket?.isReading === true && this.#sockets.has(handle)) {
      const bytes = socket.backlog.shift();
      if (bytes === undefined) return;
      socket.end.read(nowMs);
      this.#switchboard.take(handle, { kind: 'bytes', bytes }, nowMs);
    }
  }

  #write(handle: number, bytes: Buffer): void {
    const { world } = this.#parts;
    const { clock } = world;
    const socket = this.#sockets.get(handle);
    if (socket === undefined || this.process.isDead) return;
    const slowMs = world.dice.chance(world.faults.slowSocket)
      ? world.dice.between(100, 3_000)
      : moment(world);
    socket.outMs = Math.max(socket.outMs, clock.nowMs + slowMs);
    const delayMs = socket.outMs - clock.nowMs;
    clock.post(undefined, delayMs, () => {
      if (this.#sockets.get(handle) === socket) socket.end.hear(bytes.toString());
    });
    clock.post(this.process, delayMs, () =>
      this.#switchboard.take(handle, { kind: 'written' }, clock.nowMs),
    );
  }

  #close(handle: number, reason: string, isLost = false): void {
    const socket = this.#sockets.get(handle);
    if (socket === undefined || (this.process.isDead && !isLost)) return;
    this.#sockets.delete(handle);
    this.#parts.world.clock.post(undefined, 1, () => socket.end.closed(reason));
  }

  #placeWaiting(): void {
    if (this.#isPlacing) return;
    if (this.#switchboard.placeWaiting(PLACE_SLICE, this.#parts.world.clock.nowMs) === 0) return;
    this.#isPlacing = true;
    setImmediate(() => {
      this.#isPlacing = false;
      this.#placeWaiting();
    });
  }
}
