/**
 * One living session: the state machine with its effects performed, and what is queued in one turn of the event loop
 * sent as one message. Knows no transport: bytes leave by a function. Both sides of the link use it.
 */
import type { Logger } from 'pino';
import type { LinkError } from './errors.ts';
import type { DownItem, LinkMessage, UpItem } from './items.ts';
import { encodeLinkMessage } from './link-codec.ts';
import type { LinkMetrics } from './link-metrics.ts';
import type { EndReason, Next, Session, SessionEffect, SessionEvent } from './link-session.ts';
import { step } from './link-session.ts';
import {
  CONGESTION_BYTES,
  MESSAGE_BYTES_SOFT,
  QUEUE_BYTES_MAX,
  QUEUE_MESSAGES_MAX,
} from './limits.ts';
import { Outstanding } from './outstanding.ts';
import { cutIntoMessages, roughBytesOf } from './turn-batch.ts';

interface SessionHandlers<In> {
  onOpened(): void;
  onItems(items: readonly In[]): void;
  onHeard(load: number, accepts: boolean): void;
  /** Once, and last. */
  onEnded(reason: EndReason): void;
}

export interface LivingSessionOptions<In> {
  /** Hands bytes to the transport; false: it takes no more. */
  readonly send: (bytes: Buffer) => boolean;
  readonly handlers: SessionHandlers<In>;
  readonly nowMs: () => number;
  readonly log: Logger;
  readonly metrics: LinkMetrics;
}

export class LivingSession<In extends UpItem | DownItem, Out extends UpItem | DownItem> {
  readonly #options: LivingSessionOptions<In>;
  readonly #outstanding = new Outstanding();
  #session: Session;
  #queued: Out[] = [];
  #queuedBytes = 0;
  #isFlushPlanned = false;
  #wasUp = false;

  /** @param first what `greet()` or `welcome()` gave; call {@link begin} when the handlers may be called */
  constructor(first: Next, options: LivingSessionOptions<In>) {
    this.#options = options;
    [this.#session] = first;
  }

  begin([, effects]: Next): void {
    this.#perform(effects);
  }

  get id(): bigint {
    return this.#session.id;
  }

  get peerId(): string {
    return this.#session.peer.id;
  }

  get isUp(): boolean {
    return this.#session.phase === 'up';
  }

  get isEnded(): boolean {
    return this.#session.phase === 'ended';
  }

  /** [bytes] queued, and sent but not yet confirmed */
  get pendingBytes(): number {
    return this.#queuedBytes + this.#outstanding.bytes;
  }

  /** True while the peer is so far behind that nothing more should be read for it. */
  get isCongested(): boolean {
    return this.pendingBytes > CONGESTION_BYTES;
  }

  /** Queues an item for the message of this turn. Nothing happens in a session that is not up. */
  queue(item: Out): void {
    if (!this.isUp) return;
    this.#queued.push(item);
    this.#queuedBytes += roughBytesOf(item);
    if (this.pendingBytes > QUEUE_BYTES_MAX) return this.end('overflow');
    if (this.#isFlushPlanned) return;
    this.#isFlushPlanned = true;
    setImmediate(() => this.flush());
  }

  /** Sends what is queued now instead of at the end of the turn. */
  flush(): void {
    this.#isFlushPlanned = false;
    const items = this.#queued;
    if (items.length === 0) return;
    const messages = this.#queuedBytes < MESSAGE_BYTES_SOFT ? [items] : cutIntoMessages(items);
    this.#queued = [];
    this.#queuedBytes = 0;
    for (const run of messages)
      this.#take({ kind: 'queued', items: run, nowMs: this.#options.nowMs() });
  }

  receive(message: LinkMessage): void {
    if (this.isEnded || message.session !== this.id) return this.#options.metrics.stale.inc();
    this.#take({ kind: 'received', message, nowMs: this.#options.nowMs() });
    if (message.kind === 'heartbeat') this.#confirm();
  }

  /** Bytes came that are no message. */
  receiveMalformed(error: LinkError): void {
    this.#options.metrics.malformed.inc();
    this.#options.log.warn({ peer: this.peerId, err: error }, 'link message malformed');
    this.end('malformed');
  }

  tick(load: number, accepts: boolean): void {
    this.#take({ kind: 'tick', load, accepts, nowMs: this.#options.nowMs() });
  }

  end(reason: EndReason, detail = ''): void {
    this.#take({ kind: 'end', reason, detail });
  }

  #take(event: SessionEvent<Out>): void {
    const [session, effects] = step(this.#session, event);
    this.#session = session;
    this.#perform(effects);
  }

  #perform(effects: readonly SessionEffect[]): void {
    for (const effect of effects) this.#performOne(effect);
  }

  #performOne(effect: SessionEffect): void {
    const { handlers, metrics } = this.#options;
    switch (effect.kind) {
      case 'send':
        return this.#send(effect.message);
      case 'opened':
        this.#wasUp = true;
        metrics.sessions.inc();
        return handlers.onOpened();
      case 'deliver':
        metrics.messages.inc({ direction: 'received' });
        metrics.items.inc({ direction: 'received' }, effect.message.items.length);
        return handlers.onItems(effect.message.items as readonly unknown[] as readonly In[]); // The step checked the direction.
      case 'heard':
        return handlers.onHeard(effect.load, effect.accepts);
      case 'ended':
        return this.#finish(effect.reason, effect.detail);
    }
  }

  #send(message: LinkMessage): void {
    const bytes = encodeLinkMessage(message);
    const { metrics } = this.#options;
    metrics.bytes.inc({ direction: 'sent' }, bytes.length);
    if (message.kind === 'up' || message.kind === 'down') {
      metrics.messages.inc({ direction: 'sent' });
      metrics.items.inc({ direction: 'sent' }, message.items.length);
      metrics.outstandingBytes.inc(bytes.length);
      this.#outstanding.sent(bytes.length);
    }
    const isTaken = this.#options.send(bytes) && this.#outstanding.messages <= QUEUE_MESSAGES_MAX;
    if (!isTaken) this.end('overflow');
  }

  #confirm(): void {
    const before = this.#outstanding.bytes;
    this.#outstanding.confirm(this.#session.confirmed);
    this.#options.metrics.outstandingBytes.dec(before - this.#outstanding.bytes);
  }

  #finish(reason: EndReason, detail: string): void {
    const { handlers, metrics, log } = this.#options;
    if (this.#wasUp) metrics.sessions.dec();
    metrics.ended.inc({ reason });
    metrics.outstandingBytes.dec(this.#outstanding.bytes);
    this.#queued = [];
    this.#queuedBytes = 0;
    const facts = { peer: this.peerId, session: this.id.toString(16), reason, detail };
    if (this.#wasUp) log.info(facts, 'link session ended');
    else log.debug(facts, 'link session never came up');
    handlers.onEnded(reason);
  }
}
