/** One connection between the two sides of a hand-over: messages in both directions, over a Unix socket. */
import type { Socket } from 'node:net';
import {
  decodeMessage,
  encodeMessage,
  FrameSplitter,
  type HandoverMessage,
} from '../core/handover-message.ts';

export interface Channel {
  send(message: HandoverMessage): void;
  /** Breaks it, for both sides. */
  close(): void;
}

export interface ChannelHandlers {
  onMessage(message: HandoverMessage): void;
  /** Once. Also after `close()`, and after bytes that are no message. */
  onLost(): void;
}

export function openChannel(socket: Socket, handlers: ChannelHandlers): Channel {
  const splitter = new FrameSplitter();
  socket.on('data', (bytes: Buffer) => {
    try {
      for (const body of splitter.push(bytes)) {
        if (socket.destroyed) return;
        const message = decodeMessage(body);
        if (message !== undefined) handlers.onMessage(message);
      }
    } catch {
      socket.destroy(); // A peer that speaks nonsense is as good as gone.
    }
  });
  socket.on('end', () => socket.destroy());
  socket.on('error', () => undefined); // `close` follows.
  socket.once('close', () => handlers.onLost());
  socket.resume();
  return {
    send: (message) => void socket.write(encodeMessage(message)),
    close: () => void socket.destroy(),
  };
}
