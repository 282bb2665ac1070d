/**
 * A node's `zmqpubhashblock`: the fastest word of a new block, but one that may be lost. So whatever could have been
 * missed (a gap in the sequence, a new connection) is told as well, and answered by a poll.
 */
import type { Logger } from 'pino';
import { Subscriber } from 'zeromq';

const TOPIC = 'hashblock';

export interface HashblockOptions {
  /** `tcp://host:port` */
  readonly endpoint: string;
  readonly log: Logger;
  /** Display byte order, as the node sends it. */
  readonly onHash: (hash: string) => void;
  /** Something may have been missed: ask the node. */
  readonly onGap: (reason: 'connected' | 'disconnected' | 'sequence' | 'malformed') => void;
}

export interface HashblockFrame {
  readonly hash: string;
  readonly sequence: number;
}

/** Frames are `hashblock`, 32 bytes, u32 little-endian. @returns undefined if they are anything else */
export function readHashblock(frames: readonly Uint8Array[]): HashblockFrame | undefined {
  const [topic, body, sequence] = frames.map((frame) =>
    Buffer.from(frame.buffer, frame.byteOffset, frame.length),
  );
  if (topic?.toString('latin1') !== TOPIC) return undefined;
  if (body?.length !== 32 || sequence?.length !== 4) return undefined;
  return { hash: body.toString('hex'), sequence: sequence.readUInt32LE() };
}

/** True if nothing is missing between two messages. The node counts per topic from 0 and wraps at 2^32. */
export function followsSequence(last: number | undefined, sequence: number): boolean {
  return last === undefined || (last + 1) >>> 0 === sequence;
}

/** Connects (and reconnects for ever) until disposed. */
export function followHashblock({
  endpoint,
  log,
  onHash,
  onGap,
}: HashblockOptions): AsyncDisposable {
  const socket = new Subscriber({
    linger: 0,
    receiveHighWaterMark: 1_000,
    maxMessageSize: 4_096,
    reconnectInterval: 100,
    reconnectMaxInterval: 5_000,
    heartbeatInterval: 5_000,
    heartbeatTimeout: 15_000,
  });
  // The handshake is when the subscription is in force: a block before it is only found by asking.
  socket.events.on('handshake', () => onGap('connected'));
  socket.events.on('disconnect', () => onGap('disconnected'));
  socket.connect(endpoint);
  socket.subscribe(TOPIC);
  const done = receive(socket, onHash, onGap).catch((error: unknown) => {
    if (!socket.closed) log.error({ err: error, endpoint }, 'zmq receiver ended');
  });
  return {
    async [Symbol.asyncDispose]() {
      socket.close();
      await done;
    },
  };
}

async function receive(
  socket: Subscriber,
  onHash: HashblockOptions['onHash'],
  onGap: HashblockOptions['onGap'],
): Promise<void> {
  let last: number | undefined;
  for await (const frames of socket) {
    const frame = readHashblock(frames);
    if (frame === undefined) {
      onGap('malformed');
      continue;
    }
    onHash(frame.hash);
    if (!followsSequence(last, frame.sequence)) onGap('sequence');
    last = frame.sequence;
  }
}
