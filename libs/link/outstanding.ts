/** Counts what was sent and not yet confirmed, by message. ZeroMQ's own queues have no bound of ours; this is it. */

export class Outstanding {
  #sizes: number[] = [];
  #head = 0;
  #confirmed = 0;
  #bytes = 0;

  /** [bytes] sent and not confirmed */
  get bytes(): number {
    return this.#bytes;
  }

  /** [messages] sent and not confirmed */
  get messages(): number {
    return this.#sizes.length - this.#head;
  }

  sent(bytes: number): void {
    this.#sizes.push(bytes);
    this.#bytes += bytes;
  }

  /** The peer has the first `count` messages of the session. */
  confirm(count: number): void {
    for (; this.#confirmed < count && this.messages > 0; this.#confirmed += 1) {
      this.#bytes -= this.#sizes[this.#head] ?? 0;
      this.#head += 1;
    }
    if (this.#head < 1_024 && this.messages > 0) return;
    this.#sizes = this.#sizes.slice(this.#head);
    this.#head = 0;
  }
}
