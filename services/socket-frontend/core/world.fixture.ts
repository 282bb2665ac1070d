/**
 * A world in memory around a switchboard: miners, a kernel that takes bytes when told, and servers that answer each line
 * once, die, come back and let connections go. Nothing happens by itself.
 */
import type { DownItem, UpItem } from '#libs/link/items.ts';
import { type ConnectionLimits, DEFAULT_LIMITS } from './limits.ts';
import type { ConnectionFacts, Counted } from './model.ts';
import { Switchboard } from './switchboard.ts';

export const LIMITS: ConnectionLimits = {
  ...DEFAULT_LIMITS,
  lineBytesMax: 256,
  unacknowledgedLinesMax: 4,
  holdMs: 45_000,
  firstLineMs: 30_000,
};

export function factsOf(handle: number, acceptedMs = 0): ConnectionFacts {
  const listener = 'main';
  return {
    handle,
    conn: `conn-${handle}`,
    peerAddress: '203.0.113.7',
    peerPort: 1_000,
    listener,
    tls: '',
    acceptedMs,
  };
}

/** A miner: what it said, what the kernel took for it. */
interface Miner {
  said: number;
  heard: string;
  inFlight: Uint8Array | undefined;
  isReading: boolean;
  hasFin: boolean;
  closedBy: string | undefined;
}

/** A server that speaks a protocol of its own: line `n` is answered `r<n>`; a capsule is the list of what it answered. */
class FakeServer {
  readonly key: string;
  /** What is on its way to it, and from it. */
  up: UpItem[] = [];
  down: DownItem[][] = [];
  isUp = false;
  readonly openings = new Map<number, { opening: number; nextSeq: number; answered: string[] }>();
  problems: string[] = [];

  constructor(key: string) {
    this.key = key;
  }

  /** Reads all that arrived, and answers it in one message. */
  work(): void {
    const items = this.up;
    this.up = [];
    const answers = items.flatMap((item) => this.#take(item));
    if (answers.length > 0) this.down.push(answers);
  }

  #take(item: UpItem): readonly DownItem[] {
    const ref = { handle: item.handle, opening: item.opening };
    if (item.kind === 'close') return (void this.openings.delete(item.handle), []);
    if (item.kind === 'open') {
      const answered = Buffer.from(item.capsule).toString().split(',').filter(Boolean);
      if (item.nextSeq !== answered.length + 1)
        this.problems.push(`open at ${item.nextSeq} after ${answered.join()}`);
      this.openings.set(item.handle, { opening: item.opening, nextSeq: item.nextSeq, answered });
      return [{ kind: 'join', ...ref, group: 1 }];
    }
    const open = this.openings.get(item.handle);
    if (open === undefined || open.opening !== item.opening) return [];
    if (item.seq !== open.nextSeq)
      this.problems.push(`line ${item.seq} instead of ${open.nextSeq}`);
    open.nextSeq = item.seq + 1;
    const text = Buffer.from(item.bytes).toString();
    if (open.answered.includes(text)) this.problems.push(`${text} answered twice`);
    open.answered.push(text);
    return [
      { kind: 'write', ...ref, bytes: Buffer.from(`r${text}\n`), mark: new Uint8Array(0) },
      { kind: 'capsule', ...ref, change: 'append', bytes: Buffer.from(`${text},`) },
      { kind: 'ack', ...ref, seq: item.seq },
    ];
  }
}

export interface World {
  readonly switchboard: Switchboard;
  readonly miners: ReadonlyMap<number, Miner>;
  readonly servers: readonly FakeServer[];
  readonly counts: Readonly<Partial<Record<Counted, number>>>;
  readonly problems: readonly string[];
  nowMs: number;
  connect(handle: number): void;
  /** A miner says its next lines, in pieces of `pieceBytes`. */
  say(handle: number, lines: number, pieceBytes?: number): void;
  /** The kernel takes what is in flight for a miner. */
  drain(handle: number): void;
  start(server: FakeServer): void;
  kill(server: FakeServer): void;
  /** Lets one message of the server arrive. */
  deliver(server: FakeServer): void;
  cast(server: FakeServer, replaces: 'refresh' | 'all'): void;
  release(server: FakeServer, handle: number): void;
  /** Runs until nothing is on its way any more. */
  settle(): void;
}

export function createWorld(
  serverKeys: readonly string[],
  limits: ConnectionLimits = LIMITS,
): World {
  const miners = new Map<number, Miner>();
  const servers = serverKeys.map((key) => new FakeServer(key));
  const counts: Partial<Record<Counted, number>> = {};
  const problems: string[] = [];
  const said = new Map<number, Buffer>();
  let casts = 0;
  let dice = 1;

  const minerOf = (handle: number): Miner => {
    const miner = miners.get(handle);
    if (miner === undefined) throw new Error(`Cannot find miner ${handle}`);
    return miner;
  };
  const switchboard = new Switchboard({
    limits,
    heldBytesMax: 1_000_000,
    random: () => (dice = (dice * 16_807) % 2_147_483_647) / 2_147_483_647,
    ports: {
      send(key, item) {
        if (item.kind === 'open') checkMarks(item);
        const server = servers.find((one) => one.key === key);
        if (server?.isUp !== true) problems.push(`sent to ${key}, which is not there`);
        else server.up.push(item);
      },
      write(handle, bytes) {
        const miner = minerOf(handle);
        if (miner.inFlight !== undefined) problems.push('two writes in flight');
        miner.inFlight = bytes;
        checkApplied(handle, bytes);
      },
      setReading: (handle, on) => {
        minerOf(handle).isReading = on;
        if (on) queue.push(handle);
      },
      sayFin: (handle) => {
        minerOf(handle).hasFin = true;
      },
      destroy: () => undefined,
      isCongested: () => false,
      closed: ({ facts }, reason) => {
        minerOf(facts.handle).closedBy = reason;
      },
      count: (what, by) => {
        counts[what] = (counts[what] ?? 0) + by;
      },
      placed: () => undefined,
      moved: () => undefined,
    },
  });
  /** Miners that may be read again. */
  const queue: number[] = [];

  function checkMarks(item: Extract<UpItem, { kind: 'open' }>): void {
    const written = minerOf(item.handle)
      .heard.split('\n')
      .filter((line) => line.startsWith('c'));
    const expected = written.slice(-4).join();
    const given = item.marks.map((mark) => Buffer.from(mark).toString()).join();
    if (given !== expected) problems.push(`marks ${given} instead of ${expected}`);
  }

  /** An answer goes out only after its acknowledgement and its capsule change are applied. */
  function checkApplied(handle: number, bytes: Uint8Array): void {
    const connection = switchboard.connection(handle);
    if (connection === undefined) return;
    const kept = Buffer.from(connection.capsule.bytes).toString().split(',');
    for (const answer of answersOf({ heard: Buffer.from(bytes).toString() })) {
      const isWaiting = connection.unacknowledged.some(
        (line) => Buffer.from(line.bytes).toString() === String(answer),
      );
      if (isWaiting || !kept.includes(String(answer)))
        problems.push(`answer ${answer} written before it was applied`);
    }
  }

  /** Gives the switchboard what a miner said, as long as it reads. */
  function pump(handle: number, pieceBytes = 7): void {
    for (
      let rest = said.get(handle);
      rest !== undefined && rest.length > 0;
      rest = said.get(handle)
    ) {
      if (!minerOf(handle).isReading) return;
      said.set(handle, rest.subarray(pieceBytes));
      switchboard.take(handle, { kind: 'bytes', bytes: rest.subarray(0, pieceBytes) }, world.nowMs);
    }
  }
  function pumpQueued(): void {
    for (let handle = queue.shift(); handle !== undefined; handle = queue.shift()) pump(handle);
  }

  const world: World = {
    switchboard,
    miners,
    servers,
    counts,
    get problems() {
      return [...problems, ...servers.flatMap((server) => server.problems)];
    },
    nowMs: 0,
    connect(handle) {
      miners.set(handle, {
        said: 0,
        heard: '',
        inFlight: undefined,
        isReading: true,
        hasFin: false,
        closedBy: undefined,
      });
      switchboard.accept(factsOf(handle, world.nowMs));
    },
    say(handle, lines, pieceBytes) {
      const miner = minerOf(handle);
      const texts = Array.from({ length: lines }, () => `${(miner.said += 1)}\n`).join('');
      said.set(handle, Buffer.concat([said.get(handle) ?? Buffer.alloc(0), Buffer.from(texts)]));
      pump(handle, pieceBytes);
    },
    drain(handle) {
      const miner = minerOf(handle);
      const { inFlight } = miner;
      if (inFlight === undefined) return;
      miner.heard += Buffer.from(inFlight).toString();
      miner.inFlight = undefined;
      switchboard.take(handle, { kind: 'written' }, world.nowMs);
    },
    start(server) {
      if (server.isUp) return;
      server.isUp = true;
      switchboard.addServer(server.key);
      switchboard.hear(server.key, 0, true);
      switchboard.apply(
        server.key,
        [{ kind: 'listen', listener: 'main', isUp: true }],
        world.nowMs,
      );
      switchboard.placeWaiting(1_000, world.nowMs);
    },
    kill(server) {
      if (!server.isUp) return;
      server.isUp = false;
      server.up = [];
      server.down = [];
      server.openings.clear();
      switchboard.removeServer(server.key, world.nowMs);
      switchboard.placeWaiting(1_000, world.nowMs);
    },
    deliver(server) {
      const items = server.down.shift();
      if (items !== undefined) switchboard.apply(server.key, items, world.nowMs);
      pumpQueued();
    },
    cast(server, replaces) {
      const text = `c${(casts += 1)}`;
      server.down.push([
        {
          kind: 'cast',
          group: 1,
          bytes: Buffer.from(`${text}\n`),
          mark: Buffer.from(text),
          replaces,
        },
      ]);
    },
    release(server, handle) {
      const open = server.openings.get(handle);
      if (open === undefined) return;
      server.openings.delete(handle);
      server.down.push([{ kind: 'release', handle, opening: open.opening }]);
    },
    settle() {
      for (let round = 0; round < 200; round += 1) {
        for (const server of servers) {
          server.work();
          while (server.down.length > 0) world.deliver(server);
        }
        for (const handle of miners.keys()) {
          world.drain(handle);
          pump(handle);
        }
        world.nowMs += 20;
        switchboard.tick(world.nowMs);
        switchboard.placeWaiting(1_000, world.nowMs);
        pumpQueued();
      }
    },
  };
  return world;
}

/** The answers a miner heard, in order. */
export function answersOf({ heard }: Pick<Miner, 'heard'>): readonly number[] {
  return heard
    .split('\n')
    .filter((line) => line.startsWith('r'))
    .map((line) => Number(line.slice(1)));
}

export function countUpTo(last: number): readonly number[] {
  return Array.from({ length: last }, (_, index) => index + 1);
}
