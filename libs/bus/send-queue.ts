/**
 * A bounded line in front of a socket that takes one `send()` at a time (zeromq.js throws EBUSY otherwise).
 * The line is the high-water mark. No socket in here: the sender is a function.
 */

export interface SendQueueOptions<M> {
  /** Sends one message; never called again before its promise settled. */
  readonly send: (message: M) => Promise<void>;
  /** [messages] that wait at most, the one in flight not counted */
  readonly capacity: number;
  /** At the bound: `drop_oldest` makes room (telemetry), `reject` refuses the new one (back-pressure). */
  readonly overflow: 'drop_oldest' | 'reject';
  /** [bytes] that wait at most; needs `sizeOf` */
  readonly bytesMax?: number;
  readonly sizeOf?: (message: M) => number;
  /** A message left the line unsent: dropped at the bound, or still waiting at `close()`. */
  readonly onDropped?: (message: M) => void;
  /** `send` failed. The message is gone; the next one is tried. */
  readonly onFailed?: (error: unknown, message: M) => void;
}

/** Sends in order, one at a time; what queued during a send goes out right after it. */
export class SendQueue<M> implements Disposable {
  readonly #options: SendQueueOptions<M>;
  #waiting: M[] = [];
  #head = 0;
  #bytes = 0;
  #isSending = false;
  #isClosed = false;
  #idle: PromiseWithResolvers<void> | undefined;

  constructor(options: SendQueueOptions<M>) {
    this.#options = options;
  }

  /** [messages] waiting, the one in flight not counted. */
  get length(): number {
    return this.#waiting.length - this.#head;
  }

  /** True if nothing waits and nothing is in flight. */
  get isIdle(): boolean {
    return !this.#isSending && this.length === 0;
  }

  /** Sends `message` at once if the socket is free, else queues it. False: refused at the bound, or closed. */
  push(message: M): boolean {
    if (this.#isClosed) return false;
    if (!this.#makeRoom(this.#sizeOf(message))) return false;
    this.#waiting.push(message);
    this.#bytes += this.#sizeOf(message);
    if (!this.#isSending) void this.#sendAll();
    return true;
  }

  /** Resolves when all that was pushed is sent (or the queue is closed). */
  async idle(): Promise<void> {
    if (this.isIdle) return;
    this.#idle ??= Promise.withResolvers<void>();
    await this.#idle.promise;
  }

  /** Drops what waits and takes no more. The send in flight ends as it may. */
  close(): void {
    this.#isClosed = true;
    while (this.length > 0) this.#drop();
    this.#idle?.resolve();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #makeRoom(bytes: number): boolean {
    while (this.#isOver(bytes)) {
      if (this.#options.overflow === 'reject' || this.length === 0) return false;
      this.#drop();
    }
    return true;
  }

  #drop(): void {
    const message = this.#shift(); // Not inside the call: without a listener it would not be evaluated.
    this.#options.onDropped?.(message);
  }

  #isOver(bytes: number): boolean {
    const { capacity, bytesMax = Number.POSITIVE_INFINITY } = this.#options;
    return this.length >= capacity || this.#bytes + bytes > bytesMax;
  }

  async #sendAll(): Promise<void> {
    this.#isSending = true;
    while (this.length > 0) {
      const message = this.#shift();
      try {
        await this.#options.send(message);
      } catch (error) {
        this.#options.onFailed?.(error, message);
      }
    }
    this.#isSending = false;
    this.#idle?.resolve();
    this.#idle = undefined;
  }

  /** Takes the oldest. The array is cut now and then, not at each message: `Array.shift` moves all the rest. */
  #shift(): M {
    const message = this.#waiting[this.#head] as M; // Callers saw `length > 0`.
    this.#waiting[this.#head] = undefined as M; // Free for the collector.
    this.#head += 1;
    this.#bytes -= this.#sizeOf(message);
    if (this.#head === this.#waiting.length || this.#head >= 1_024) {
      this.#waiting = this.#waiting.slice(this.#head);
      this.#head = 0;
    }
    return message;
  }

  #sizeOf(message: M): number {
    return this.#options.sizeOf?.(message) ?? 0;
  }
}
