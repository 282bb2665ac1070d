/** The publishing half of a bus: numbers messages, and repeats the numbers. */
import { assert } from '#libs/assert.ts';
import { type MessageOf, subjectOf, type Topic } from '#libs/contracts/define.ts';
import { encodeBody, encodePublication, type FrameKind, type Frames } from './frame.ts';

/** [streams] subjects and keys one process publishes at most: beats are sent for each */
const STREAMS_MAX = 4_096;

interface Stream {
  readonly subject: string;
  readonly key: string;
  sequence: number;
}

export class Publisher {
  readonly #bootId: string;
  readonly #send: (frames: Frames) => void;
  readonly #streams = new Map<string, Stream>();

  constructor(bootId: string, send: (frames: Frames) => void) {
    this.#bootId = bootId;
    this.#send = send;
  }

  /** Sends a message as the next of its stream. Serialised once, however many hear it. */
  publish<T extends Topic>(
    topic: T,
    key: string,
    message: MessageOf<T>,
    attachments: Frames,
  ): void {
    const stream = this.#streamOf(subjectOf(topic), key);
    const sequence = stream.sequence + 1;
    const header = this.#header('message', sequence);
    const frames = encodePublication(stream.subject, key, header, encodeBody(message), attachments);
    stream.sequence = sequence; // Only now: what cannot be encoded leaves no gap.
    this.#send(frames);
  }

  /** Repeats the sequence of every stream: who missed its last message, or joined since, finds out. */
  beat(): void {
    for (const stream of this.#streams.values()) {
      if (stream.sequence > 0) this.#sendBeat(stream);
    }
  }

  #sendBeat({ subject, key, sequence }: Stream): void {
    this.#send(encodePublication(subject, key, this.#header('beat', sequence), undefined));
  }

  #header(kind: FrameKind, sequence: number) {
    return { kind, bootId: this.#bootId, sequence, timeoutMs: 0 };
  }

  #streamOf(subject: string, key: string): Stream {
    const name = `${subject}|${key}`;
    const known = this.#streams.get(name);
    if (known !== undefined) return known;
    assert(this.#streams.size < STREAMS_MAX, `more than ${STREAMS_MAX} keys are published`);
    const stream: Stream = { subject, key, sequence: 0 };
    this.#streams.set(name, stream);
    return stream;
  }
}
