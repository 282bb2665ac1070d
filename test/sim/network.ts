/** The link's transport: the real client end and the real hub, with a wire between them that loses, repeats and swaps. */
import { Registry as MetricRegistry } from '@prometheus-io/client';
import { quietLog } from '#libs/journal/record.fixture.ts';
import { ClientEnd } from '#libs/link/client-end.ts';
import type { LinkClient, LinkClientHandlers, LinkServerAddress } from '#libs/link/link-client.ts';
import { LinkHub } from '#libs/link/link-hub.ts';
import type { LinkServerHandlers } from '#libs/link/link-server.ts';
import type { LinkIdentity } from '#libs/link/link-session.ts';
import type { Process } from './clock.ts';
import { count, die, happened, moment, type World } from './world.ts';

interface Lane {
  lastMs: number;
}

interface Wire {
  readonly route: string;
  readonly endpoint: string;
  readonly frontend: Process;
  readonly client: ClientEnd;
  readonly up: Lane;
  readonly down: Lane;
  isOpen: boolean;
  /** [ms] nothing arrives before, in neither direction */
  stalledMs: number;
}

interface Bound {
  readonly process: Process;
  readonly hub: LinkHub;
}

export class Network {
  readonly #world: World;
  readonly #bound = new Map<string, Bound>();
  readonly #wires = new Map<string, Wire>();
  /** Link messages a process still sends before it dies in between. */
  readonly #lastWords = new Map<Process, number>();
  #made = 0;

  constructor(world: World) {
    this.#world = world;
  }

  /** Called in the server's process. */
  bind(endpoint: string, process: Process, identity: LinkIdentity, handlers: LinkServerHandlers) {
    const { clock } = this.#world;
    const hub: LinkHub = new LinkHub({
      ...handlers,
      identity,
      log: quietLog,
      metrics: new MetricRegistry(),
      nowMs: () => clock.nowMs,
      send: (route, bytes) => {
        const wire = this.#wires.get(route);
        if (wire === undefined || !this.#maySpeak(process)) return true;
        this.#carry(wire, wire.down, wire.frontend, () => wire.client.receive(bytes));
        return true;
      },
    });
    this.#bound.set(endpoint, { process, hub });
    return hub;
  }

  /** Called in the frontend's process. */
  connect(
    frontend: Process,
    identity: LinkIdentity,
    server: LinkServerAddress,
    handlers: LinkClientHandlers,
  ): LinkClient {
    const { clock } = this.#world;
    this.#made += 1;
    const { endpoint } = server;
    const client: ClientEnd = new ClientEnd({
      ...handlers,
      identity,
      server,
      log: quietLog,
      metrics: new MetricRegistry(),
      nowMs: () => clock.nowMs,
      close: () => undefined, // What is on its way to the server still arrives.
      send: (bytes) => {
        const bound = this.#bound.get(endpoint);
        if (bound === undefined || !this.#maySpeak(frontend)) return true;
        this.#carry(wire, wire.up, bound.process, () => bound.hub.receive(wire.route, bytes));
        return true;
      },
    });
    const lanes = { up: { lastMs: 0 }, down: { lastMs: 0 } };
    const facts = { route: String(this.#made), endpoint, frontend, client, ...lanes };
    const wire: Wire = { ...facts, isOpen: true, stalledMs: 0 };
    this.#wires.set(wire.route, wire);
    clock.post(frontend, 0, () => client.begin());
    return client;
  }

  /** The process dies after some more messages: in the middle of what it says in one turn, perhaps. */
  dieAfter(process: Process, messages: number): void {
    this.#lastWords.set(process, messages);
  }

  /** A process is gone: its kernel says so to the others, mostly. */
  lost(process: Process): void {
    const { dice, clock } = this.#world;
    for (const wire of this.#wires.values()) {
      const server = this.#bound.get(wire.endpoint);
      if (wire.frontend !== process && server?.process !== process) continue;
      wire.isOpen = false;
      if (wire.frontend === process || dice.chance(0.2)) continue;
      clock.post(wire.frontend, dice.between(1, 30), () => wire.client.lose('disconnected'));
    }
  }

  /** Connections between a living frontend and a living server break. */
  blip(): void {
    const { dice, clock } = this.#world;
    const wire = dice.pick([...this.#wires.values()].filter(({ isOpen }) => isOpen));
    const bound = wire && this.#bound.get(wire.endpoint);
    if (wire === undefined || bound === undefined) return;
    happened(this.#world, 'blip', `${wire.frontend.name} and ${bound.process.name}`);
    if (dice.chance(0.5)) {
      wire.stalledMs = clock.nowMs + dice.between(50, 4_000);
      return;
    }
    wire.isOpen = false;
    clock.post(wire.frontend, dice.between(0, 50), () => wire.client.lose('disconnected'));
    if (dice.chance(0.5)) {
      clock.post(bound.process, dice.between(0, 50), () =>
        bound.hub.lose(wire.route, 'unreachable'),
      );
    }
  }

  #maySpeak(process: Process): boolean {
    const left = this.#lastWords.get(process);
    if (left === 0 && !process.isDead) {
      happened(this.#world, 'died while answering', process.name);
      die(this.#world, process);
      this.#world.clock.post(undefined, 1, () => this.lost(process));
    }
    if (left !== undefined) this.#lastWords.set(process, left - 1);
    return !process.isDead;
  }

  #carry(wire: Wire, lane: Lane, to: Process, arrive: () => void): void {
    const { clock, dice, faults } = this.#world;
    if (!wire.isOpen || dice.chance(faults.lose)) return count(this.#world, 'messages lost');
    const takesMs = Math.max(moment(this.#world), wire.stalledMs - clock.nowMs);
    const atMs = Math.max(lane.lastMs, clock.nowMs + takesMs);
    const isSwapped = dice.chance(faults.swap);
    if (!isSwapped) lane.lastMs = atMs;
    const take = () => {
      if (wire.isOpen) arrive();
    };
    clock.post(to, atMs - clock.nowMs + (isSwapped ? 5 : 0), take);
    if (isSwapped) count(this.#world, 'messages swapped');
    if (!dice.chance(faults.repeat)) return;
    count(this.#world, 'messages repeated');
    clock.post(to, atMs - clock.nowMs + dice.between(0, 300), take);
  }
}
