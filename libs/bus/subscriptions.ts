/** The hearing half of a bus: from frames of a publisher to the listeners of its subject. */
import { type MessageOf, subjectOf, type Topic } from '#libs/contracts/define.ts';
import type { Origin, Subscription } from './bus.ts';
import type { BusMetrics } from './bus-metrics.ts';
import type { Complaints } from './complaints.ts';
import { decodeBody, decodePublication, type Frames, type Publication } from './frame.ts';
import { SequenceTracker } from './sequence-tracker.ts';

/** A transport that hears subjects by prefix. */
export interface PrefixHearer {
  subscribe(prefix: string): void;
  unsubscribe(prefix: string): void;
}

/** One call of `subscribe()`. Its gaps are its own: who joins later missed more. */
interface Listener {
  readonly topic: Topic;
  readonly key: string;
  readonly onMessage: (message: unknown, origin: Origin) => void;
  readonly onGap: ((peer: Origin['peer']) => void) | undefined;
  readonly tracker: SequenceTracker;
}

/** A body read at most once, however many listen. */
type Parsed =
  | { readonly kind: 'message'; readonly message: unknown }
  | { readonly kind: 'malformed' };

export class Subscriptions {
  readonly #hearer: PrefixHearer;
  readonly #metrics: BusMetrics;
  readonly #complaints: Complaints;
  readonly #bySubject = new Map<string, Set<Listener>>();
  readonly #prefixUsers = new Map<string, number>();

  constructor(hearer: PrefixHearer, metrics: BusMetrics, complaints: Complaints) {
    this.#hearer = hearer;
    this.#metrics = metrics;
    this.#complaints = complaints;
  }

  /** See {@link Bus.subscribe}. */
  add<T extends Topic>(
    topic: T,
    key: string,
    onMessage: (message: MessageOf<T>, origin: Origin) => void,
    onGap: ((peer: Origin['peer']) => void) | undefined,
  ): Subscription {
    const subject = subjectOf(topic);
    const prefix = `${subject}|${key}`;
    const listener: Listener = {
      topic,
      key,
      onMessage: onMessage as Listener['onMessage'], // `deliver` gives it what the topic's schema parsed.
      onGap,
      tracker: new SequenceTracker(),
    };
    this.#listenersOf(subject).add(listener);
    this.#hear(prefix);
    return { [Symbol.dispose]: () => this.#remove(subject, prefix, listener) };
  }

  /** Takes one message of a publisher we are connected to. Never throws. */
  receive(frames: Frames, peer: Origin['peer']): void {
    try {
      const publication = decodePublication(frames);
      // Another process may have the port of a dead one: nobody's fault, and not for us.
      if (publication.header.bootId === peer.bootId) this.#dispatch(publication, peer);
    } catch (error) {
      this.#complaints.malformed('unknown', peer.bootId, error);
    }
  }

  /** This boot of a publisher is gone for good. */
  forget(bootId: string): void {
    for (const listeners of this.#bySubject.values()) {
      for (const { tracker } of listeners) tracker.forget(bootId);
    }
  }

  #dispatch(publication: Publication, peer: Origin['peer']): void {
    const { subject, key } = publication;
    let parsed: Parsed | undefined;
    for (const listener of [...(this.#bySubject.get(subject) ?? [])]) {
      if (listener.key !== '' && listener.key !== key) continue; // The prefix `ltc` hears `ltc2` too.
      if (publication.header.kind === 'message') {
        parsed ??= this.#parse(publication, listener.topic, peer);
        this.#deliver(listener, publication, peer, parsed);
      } else {
        this.#beat(listener, publication, peer);
      }
    }
  }

  #parse({ subject, body }: Publication, topic: Topic, { bootId }: Origin['peer']): Parsed {
    try {
      return { kind: 'message', message: topic.schema.parse(decodeBody(body)) };
    } catch (error) {
      this.#complaints.malformed(subject, bootId, error);
      return { kind: 'malformed' };
    }
  }

  #deliver(
    listener: Listener,
    publication: Publication,
    peer: Origin['peer'],
    parsed: Parsed,
  ): void {
    const { subject, key, header, attachments } = publication;
    const { gap, isNew } = listener.tracker.message(peer.bootId, key, header.sequence);
    if (!isNew) return;
    if (gap || parsed.kind === 'malformed') this.#tellGap(listener, subject, peer); // Unread is lost.
    if (parsed.kind === 'malformed') return;
    this.#metrics.received.inc({ subject });
    const origin: Origin = { peer, seq: header.sequence, attachments };
    this.#guard(subject, () => listener.onMessage(parsed.message, origin));
  }

  #beat(listener: Listener, { subject, key, header }: Publication, peer: Origin['peer']): void {
    const { gap } = listener.tracker.beat(peer.bootId, key, header.sequence);
    if (gap) this.#tellGap(listener, subject, peer);
  }

  #tellGap(listener: Listener, subject: string, peer: Origin['peer']): void {
    this.#metrics.gaps.inc({ subject });
    this.#guard(subject, () => listener.onGap?.(peer));
  }

  #guard(subject: string, tell: () => void): void {
    try {
      tell();
    } catch (error) {
      this.#complaints.listenerThrew(subject, error);
    }
  }

  #listenersOf(subject: string): Set<Listener> {
    let listeners = this.#bySubject.get(subject);
    if (listeners === undefined) this.#bySubject.set(subject, (listeners = new Set()));
    return listeners;
  }

  #hear(prefix: string): void {
    const users = this.#prefixUsers.get(prefix) ?? 0;
    this.#prefixUsers.set(prefix, users + 1);
    if (users === 0) this.#hearer.subscribe(prefix);
  }

  #remove(subject: string, prefix: string, listener: Listener): void {
    const listeners = this.#bySubject.get(subject);
    if (listeners?.delete(listener) !== true) return; // Disposed twice.
    if (listeners.size === 0) this.#bySubject.delete(subject);
    const users = (this.#prefixUsers.get(prefix) ?? 1) - 1;
    if (users > 0) {
      this.#prefixUsers.set(prefix, users);
      return;
    }
    this.#prefixUsers.delete(prefix);
    this.#hearer.unsubscribe(prefix);
  }
}
