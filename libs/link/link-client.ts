/**
 * The frontend's end of the link: one DEALER, one connection, one session. It never reconnects: after `onEnded` it is
 * dead, and its user makes a new one, so that every new session is seen as one.
 */
import type { Registry as MetricRegistry } from '@prometheus-io/client';
import type { Logger } from 'pino';
import { Dealer } from 'zeromq';
import { curveClientOptions } from '#libs/bus/curve.ts';
import type { MeshKeys } from '#libs/bus/mesh-keys.ts';
import { SendQueue } from '#libs/bus/send-queue.ts';
import { ClientEnd } from './client-end.ts';
import type { DownItem, UpItem } from './items.ts';
import {
  HEARTBEAT_MS,
  MESSAGE_BYTES_MAX,
  QUEUE_BYTES_MAX,
  QUEUE_MESSAGES_MAX,
  SILENCE_MS,
} from './limits.ts';
import type { EndReason, LinkIdentity } from './link-session.ts';

/** What the client's user hears. None is called before the creating function returned; nothing comes after `onEnded`. */
export interface LinkClientHandlers {
  /** The server welcomed us: `send` works from here. */
  onUp(): void;
  /** Items of one message: to be applied together. Byte fields are views, copy what is kept. */
  onItems(items: readonly DownItem[]): void;
  onHeartbeat(heard: { readonly load: number; readonly accepts: boolean }): void;
  onEnded(reason: EndReason): void;
}

export interface LinkServerAddress extends LinkIdentity {
  readonly endpoint: string;
  readonly serverKeyId: string;
}

export interface LinkClientOptions extends LinkClientHandlers {
  readonly identity: LinkIdentity;
  /** As the registry knows it. Another boot id answering there ends the session. */
  readonly server: LinkServerAddress;
  readonly meshKeys: MeshKeys;
  readonly log: Logger;
  readonly metrics: MetricRegistry;
  /** [ms] any clock that runs evenly; default `performance.now` */
  readonly nowMs?: () => number;
}

export interface LinkClient extends AsyncDisposable {
  readonly isUp: boolean;
  /** True while so much waits for this server that nothing more should be read for it. */
  readonly isCongested: boolean;
  /** [bytes] queued or not yet confirmed by the server */
  readonly pendingBytes: number;
  /** Queues an item; all of one turn of the event loop goes as one message. Does nothing unless up. */
  send(item: UpItem): void;
  /** Sends what is queued now. */
  flush(): void;
}

/**
 * Connects to a server. Ends with `no_welcome` after a second without an answer.
 *
 * @throws {RangeError} if the server's key comes from a mesh secret we do not know
 */
export function createLinkClient(options: LinkClientOptions): LinkClient {
  const dealer = dealerTo(options.server, options.meshKeys);
  const queue = new SendQueue<Buffer>({
    send: (bytes) => dealer.send(bytes),
    capacity: QUEUE_MESSAGES_MAX,
    bytesMax: QUEUE_BYTES_MAX,
    sizeOf: (bytes) => bytes.length,
    overflow: 'reject',
    onFailed: () => end.lose('unreachable'),
  });
  const end: ClientEnd = new ClientEnd({
    ...options,
    send: (bytes) => queue.push(bytes),
    close: () => {
      queue.close();
      dealer.close();
    },
  });
  dealer.events.on('disconnect', () => end.lose('disconnected'));
  end.begin();
  void receiveAll(dealer, end);
  return end;
}

function dealerTo(server: LinkServerAddress, meshKeys: MeshKeys): Dealer {
  const dealer = new Dealer({
    ...curveClientOptions(meshKeys, server.serverKeyId),
    reconnectInterval: -1, // One connection is one session.
    connectTimeout: SILENCE_MS,
    sendHighWaterMark: 0, // `Outstanding` is the bound.
    sendTimeout: 0, // What cannot be taken at once has nobody to take it.
    heartbeatInterval: HEARTBEAT_MS,
    heartbeatTimeout: SILENCE_MS,
    maxMessageSize: MESSAGE_BYTES_MAX,
    linger: HEARTBEAT_MS,
  });
  dealer.connect(server.endpoint);
  return dealer;
}

async function receiveAll(dealer: Dealer, end: ClientEnd): Promise<void> {
  try {
    for await (const frames of dealer) {
      const [bytes] = frames;
      if (bytes !== undefined) end.receive(bytes);
    }
  } catch (error) {
    if (!dealer.closed) throw error; // Closing ends the pending receive; anything else is our bug.
  }
}
