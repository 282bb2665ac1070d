/** Several servers, a Redis that forgets by time, miners that come, go, move and resume: no two sessions share a value. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ExtranonceAllocator, type ExtranonceLimits } from './extranonce.ts';

const MINUTE = 60_000;
const TTL_MS = 30 * MINUTE;
const SERVERS = 3;
/** Owner of a lease that only sessions from elsewhere keep alive. */
const NOBODY = {};
const LIMITS: ExtranonceLimits = {
  prefixUsableMs: 25 * MINUTE,
  restMs: 10 * MINUTE,
  spareValues: 300,
  prefixesMax: 3,
};

interface Live {
  readonly value: number;
  server: number;
}

interface Closed {
  readonly value: number;
  readonly atMs: number;
  readonly server: number;
  readonly by: ExtranonceAllocator;
}

const server = fc.nat(SERVERS - 1);
const action = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('connect' as const),
      server,
      count: fc.integer({ min: 1, max: 500 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('close' as const),
      pick: fc.nat(),
      count: fc.integer({ min: 1, max: 200 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('move' as const), pick: fc.nat(), server }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('tear' as const), pick: fc.nat(), server }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('resume' as const),
      pick: fc.nat(),
      server,
      count: fc.integer({ min: 1, max: 50 }),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('wait' as const),
      minutes: fc.integer({ min: 1, max: 12 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('die' as const), server }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('cut_off' as const),
      server,
      minutes: fc.integer({ min: 1, max: 45 }),
    }),
  },
);

type Action = typeof action extends fc.Arbitrary<infer T> ? T : never;

/** The world: what servers do with an allocator, as services/stratum-server does it, and what Redis knows. */
class World {
  nowMs = 0;
  readonly leases = new Map<number, { owner: object; untilMs: number }>();
  /** Which server a value's session came to last. */
  readonly marks = new Map<number, { by: object; untilMs: number }>();
  /** Values that came to a server that could not say so. */
  readonly untold = new Map<ExtranonceAllocator, Set<number>>();
  readonly live: Live[] = [];
  readonly closed: Closed[] = [];
  /** [ms] until when each server cannot reach Redis. */
  readonly cutOffUntilMs: number[] = Array.from({ length: SERVERS }, () => 0);
  readonly servers: ExtranonceAllocator[] = Array.from(
    { length: SERVERS },
    () => new ExtranonceAllocator(LIMITS),
  );
  #nextPrefix = 0;

  server(index: number): ExtranonceAllocator {
    const server = this.servers[index];
    if (server === undefined) throw new Error(`no server ${index}`);
    return server;
  }

  isCutOff(index: number): boolean {
    return (this.cutOffUntilMs[index] ?? 0) > this.nowMs;
  }

  /** Cut off, or back for less than a round of renewals. */
  #wasCutOff(index: number): boolean {
    return (this.cutOffUntilMs[index] ?? 0) > this.nowMs - MINUTE;
  }

  /** What each server does every minute. */
  maintain(): void {
    for (const [index, server] of this.servers.entries()) {
      if (this.isCutOff(index)) continue;
      this.#renew(server);
      for (const value of server.foreignValues()) this.#mark(value, server);
      for (const value of this.untold.get(server) ?? []) this.#mark(value, server);
      this.untold.delete(server);
      for (const value of server.rested(this.nowMs)) this.#decide(value, server);
      for (let wanted = server.prefixesWanted(this.nowMs); wanted > 0; wanted -= 1)
        this.#take(server);
      server.surplus(this.nowMs);
    }
  }

  #mark(value: number, by: ExtranonceAllocator): void {
    this.marks.set(value, { by, untilMs: this.nowMs + TTL_MS });
  }

  /** What is asked of a rested value. */
  #decide(value: number, server: ExtranonceAllocator): void {
    const mark = this.marks.get(value);
    const isElsewhere = mark !== undefined && mark.untilMs > this.nowMs && mark.by !== server;
    if (isElsewhere) return server.move(value);
    if (!this.isLeased(value >>> 8, server)) return;
    server.free(value);
    this.#giveUp((lost) => lost.value === value);
  }

  #renew(server: ExtranonceAllocator): void {
    for (const prefix of server.prefixesToRenew().own) {
      const lease = this.leases.get(prefix);
      if (lease === undefined || lease.untilMs <= this.nowMs || lease.owner !== server)
        server.lose(prefix);
      else {
        lease.untilMs = this.nowMs + TTL_MS;
        server.confirm(prefix, this.nowMs);
      }
    }
    for (const prefix of server.prefixesToRenew().foreign) {
      const lease = this.leases.get(prefix);
      const isAlive = lease !== undefined && lease.untilMs > this.nowMs;
      const owner = isAlive ? lease.owner : NOBODY;
      this.leases.set(prefix, { owner, untilMs: this.nowMs + TTL_MS });
    }
  }

  /** Of six prefixes the next one that is not leased: so few that they come round again. */
  #take(server: ExtranonceAllocator): void {
    for (let tries = 0; tries < 6; tries += 1) {
      const prefix = this.#nextPrefix;
      this.#nextPrefix = (this.#nextPrefix + 1) % 6;
      const lease = this.leases.get(prefix);
      if (lease !== undefined && lease.untilMs > this.nowMs) continue;
      this.leases.set(prefix, { owner: server, untilMs: this.nowMs + TTL_MS });
      server.confirm(prefix, this.nowMs);
      this.#giveUp(({ value }) => value >>> 8 === prefix);
      return;
    }
  }

  /** Nothing can be done for sessions, open or closed, of a server that was without Redis for longer than the lease. */
  #giveUp(isMeant: (session: Live | Closed) => boolean): void {
    const isLost = (session: Live | Closed) => isMeant(session) && this.#wasCutOff(session.server);
    for (const lost of this.live.filter(isLost)) {
      this.server(lost.server).move(lost.value);
      this.live.splice(this.live.indexOf(lost), 1);
    }
    for (const lost of this.closed.filter(isLost)) this.closed.splice(this.closed.indexOf(lost), 1);
  }

  /** A session comes with its value: it is marked and its prefix renewed at once. */
  adopt(index: number, value: number): boolean {
    const server = this.server(index);
    const isAdopted = server.adopt(value);
    if (this.isCutOff(index)) {
      this.untold.set(server, (this.untold.get(server) ?? new Set()).add(value));
    } else {
      this.#mark(value, server);
      this.#renew(server);
    }
    return isAdopted;
  }

  /** Whether a server may give out values of this prefix. */
  isLeased(prefix: number, server: ExtranonceAllocator): boolean {
    const lease = this.leases.get(prefix);
    return lease !== undefined && lease.owner === server && lease.untilMs > this.nowMs;
  }
}

function apply(world: World, step: Action): void {
  switch (step.kind) {
    case 'connect':
      for (let count = 0; count < step.count; count += 1) {
        const value = world.server(step.server).allocate(world.nowMs);
        if (value === undefined) return;
        expect(world.isLeased(value >>> 8, world.server(step.server))).toBe(true);
        world.live.push({ value, server: step.server });
      }
      return;
    case 'close':
      for (let count = 0; count < step.count && world.live.length > 0; count += 1) {
        const [gone] = world.live.splice(step.pick % world.live.length, 1);
        if (gone === undefined) return;
        world.server(gone.server).close(gone.value, world.nowMs);
        world.closed.push({
          value: gone.value,
          atMs: world.nowMs,
          server: gone.server,
          by: world.server(gone.server),
        });
      }
      return;
    case 'move': {
      const session = world.live[step.pick % Math.max(1, world.live.length)];
      if (session === undefined || session.server === step.server) return;
      world.server(session.server).move(session.value);
      session.server = step.server;
      expect(world.adopt(step.server, session.value)).toBe(true);
      return;
    }
    case 'tear': {
      // Its server thinks that it closed; its frontend, which never heard of that, opened it elsewhere.
      const session = world.live[step.pick % Math.max(1, world.live.length)];
      if (session === undefined || session.server === step.server) return;
      if (world.isCutOff(step.server)) return;
      world.server(session.server).close(session.value, world.nowMs);
      session.server = step.server;
      expect(world.adopt(step.server, session.value)).toBe(true);
      return;
    }
    case 'resume':
      for (let count = 0; count < step.count && world.closed.length > 0; count += 1) {
        const [back] = world.closed.splice(step.pick % world.closed.length, 1);
        if (back === undefined || world.nowMs - back.atMs >= LIMITS.restMs) continue;
        if (world.isCutOff(step.server) || !world.adopt(step.server, back.value)) continue;
        world.live.push({ value: back.value, server: step.server });
      }
      return;
    case 'cut_off':
      world.cutOffUntilMs[step.server] = world.nowMs + step.minutes * MINUTE;
      return;
    case 'wait':
      for (let minute = 0; minute < step.minutes; minute += 1) {
        world.nowMs += MINUTE;
        world.maintain();
      }
      return;
    case 'die': {
      // Its sessions open on the others, with their capsules; a new process takes its place.
      world.servers[step.server] = new ExtranonceAllocator(LIMITS);
      for (const session of world.live.filter(({ server }) => server === step.server)) {
        session.server = (step.server + 1) % SERVERS;
        expect(world.adopt(session.server, session.value)).toBe(true);
      }
      return;
    }
  }
}

test('no two living sessions have the same extranonce1', () => {
  fc.assert(
    fc.property(fc.array(action, { minLength: 30, maxLength: 120, size: 'max' }), (steps) => {
      const world = new World();
      world.maintain();
      for (const step of steps) {
        apply(world, step);
        const values = world.live.map(({ value }) => value);
        expect(new Set(values).size).toBe(values.length);
      }
    }),
    { numRuns: 150 },
  );
});
