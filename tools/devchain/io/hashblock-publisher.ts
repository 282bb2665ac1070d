/** `zmqpubhashblock`: topic, hash in display order, sequence; as Bitcoin Core publishes it. */
import { Publisher } from 'zeromq';

const TOPIC = 'hashblock';
/** A line this long means that the socket is stuck: newer hashes are worth more. */
const LINE_MAX = 1_000;

export interface HashblockPublisher extends AsyncDisposable {
  /** `tcp://host:port` with the port it really has. */
  readonly endpoint: string;
  publish(hash: string): void;
}

/** @param port 0: any free one @throws if the port is taken */
export async function createHashblockPublisher(
  host: string,
  port: number,
): Promise<HashblockPublisher> {
  const socket = new Publisher({ linger: 0, sendHighWaterMark: 1_000 });
  await socket.bind(`tcp://${host}:${port === 0 ? '*' : port}`);
  const endpoint = socket.lastEndpoint ?? '';
  const line: Buffer[][] = [];
  let sequence = 0;
  let sending: Promise<void> | undefined;

  /** One send at a time is all zeromq.js allows. */
  async function sendAll(): Promise<void> {
    for (let frames = line.shift(); frames !== undefined; frames = line.shift()) {
      await socket.send(frames).catch((error: unknown) => {
        if (!socket.closed) throw error;
      });
    }
    sending = undefined;
  }

  return {
    endpoint,
    publish(hash) {
      const counter = Buffer.alloc(4);
      counter.writeUInt32LE(sequence);
      sequence = (sequence + 1) >>> 0;
      if (line.length >= LINE_MAX) return; // The gap in the sequence tells subscribers.
      line.push([Buffer.from(TOPIC), Buffer.from(hash, 'hex'), counter]);
      sending ??= sendAll();
    },
    async [Symbol.asyncDispose]() {
      await sending;
      socket.close();
    },
  };
}
