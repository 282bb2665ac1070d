/** The sockets behind the switchboard: bytes of miners in, bytes for miners out. */
import type { Socket } from 'node:net';
import type { Logger } from 'pino';
import type { ConnectionEvent, ConnectionFacts } from '../core/model.ts';
import { parseProxyHeader, type ProxyHeader, type ProxyTls } from '../core/proxy-header.ts';
import type { Ports, Switchboard } from '../core/switchboard.ts';
import type { Metrics } from '../metrics.ts';
import { descriptorOf, startReading, stopReading } from './raw-reading.ts';

export interface ConnectionsOptions {
  /** Goes into ids made up for connections without HAProxy's. */
  readonly idPrefix: string;
  /** [ms] in which a PROXY header must be complete */
  readonly headerMs: number;
  /** [sockets] the last bound, should listening not stop in time */
  readonly socketsMax: number;
  readonly switchboard: () => Switchboard;
  readonly metrics: Metrics;
  readonly log: Logger;
  /** [ms] a clock that never goes back */
  readonly nowMs: () => number;
}

/** A socket whose PROXY header is not complete. */
interface Newcomer {
  readonly listener: string;
  readonly sinceMs: number;
  bytes: Buffer;
}

type SocketPorts = Pick<Ports, 'write' | 'setReading' | 'sayFin' | 'destroy'>;

export class Connections implements SocketPorts {
  readonly #options: ConnectionsOptions;
  readonly #sockets = new Map<number, Socket>();
  readonly #newcomers = new Map<Socket, Newcomer>();
  #lastHandle = 0;

  constructor(options: ConnectionsOptions) {
    this.#options = options;
  }

  /** Sockets, those without a header included. */
  get size(): number {
    return this.#sockets.size + this.#newcomers.size;
  }

  /** Takes a fresh socket of a listener. It must allow half-open use. */
  accept(socket: Socket, listener: string): void {
    if (this.size >= this.#options.socketsMax) {
      this.#options.metrics.closed.inc({ reason: 'too_many' });
      socket.destroy();
      return;
    }
    this.#newcomers.set(socket, {
      listener,
      sinceMs: this.#options.nowMs(),
      bytes: Buffer.alloc(0),
    });
    socket.on('data', (bytes) => this.#greet(socket, bufferOf(bytes)));
    socket.on('end', () => socket.destroy());
    socket.on('error', () => undefined); // `close` follows.
    socket.on('close', () => this.#newcomers.delete(socket));
  }

  write(handle: number, bytes: Uint8Array): void {
    this.#options.metrics.writtenBytes.inc(bytes.length);
    this.#sockets.get(handle)?.write(bytes, (error) => {
      if (error === null || error === undefined) this.#take(handle, { kind: 'written' });
    });
  }

  setReading(handle: number, on: boolean): void {
    const socket = this.#sockets.get(handle);
    if (on) socket?.resume();
    else socket?.pause();
  }

  sayFin(handle: number): void {
    this.#sockets.get(handle)?.end();
  }

  destroy(handle: number): void {
    this.#sockets.get(handle)?.destroy();
  }

  /** Its descriptor; undefined once it is closed. */
  descriptor(handle: number): number | undefined {
    const socket = this.#sockets.get(handle);
    return socket === undefined ? undefined : descriptorOf(socket);
  }

  /** Takes what was read already; from now on nothing is read until {@link thaw}. False: there is nothing to freeze. */
  freeze(handle: number): boolean {
    const socket = this.#sockets.get(handle);
    if (socket === undefined || socket.destroyed) return false;
    stopReading(socket);
    return true;
  }

  thaw(handle: number, isReading: boolean): void {
    const socket = this.#sockets.get(handle);
    if (socket === undefined) return;
    startReading(socket);
    if (!isReading) socket.pause();
  }

  /** A socket of another frontend, from which nothing was read here. Returns its handle; reading begins with {@link thaw}. */
  adopt(socket: Socket): number {
    this.#lastHandle = this.#nextHandle();
    socket.allowHalfOpen = true;
    this.#sockets.set(this.#lastHandle, socket);
    socket.removeAllListeners('error').on('error', () => undefined); // `close` follows.
    this.#listen(socket, this.#lastHandle);
    return this.#lastHandle;
  }

  /** Closes those whose header takes too long. */
  tick(): void {
    const { nowMs, headerMs, metrics } = this.#options;
    for (const [socket, { sinceMs }] of this.#newcomers) {
      if (nowMs() - sinceMs > headerMs) this.#refuse(socket, 'timeout');
    }
    metrics.headersPending.set(this.#newcomers.size);
  }

  /** Closes everything, telling the servers why. */
  closeAll(reason: string): void {
    for (const socket of this.#newcomers.keys()) socket.destroy();
    for (const [handle, socket] of [...this.#sockets]) {
      this.#take(handle, { kind: 'socket_closed', reason });
      socket.destroySoon();
    }
  }

  #greet(socket: Socket, chunk: Buffer): void {
    const newcomer = this.#newcomers.get(socket);
    if (newcomer === undefined) return;
    newcomer.bytes = newcomer.bytes.length === 0 ? chunk : Buffer.concat([newcomer.bytes, chunk]);
    const verdict = parseProxyHeader(newcomer.bytes);
    if (verdict.kind === 'incomplete') return;
    if (verdict.kind === 'refused') return this.#refuse(socket, verdict.code);
    this.#newcomers.delete(socket);
    this.#admit(socket, newcomer, verdict.header, newcomer.bytes.subarray(verdict.length));
  }

  #refuse(socket: Socket, reason: string): void {
    const { metrics, log } = this.#options;
    metrics.headersRefused.inc({ reason });
    log.debug({ reason, listener: this.#newcomers.get(socket)?.listener }, 'PROXY header refused');
    this.#newcomers.delete(socket);
    socket.destroy();
  }

  #admit(socket: Socket, { listener, sinceMs }: Newcomer, header: ProxyHeader, rest: Buffer): void {
    const { switchboard, metrics, log } = this.#options;
    const facts = this.#factsOf(header, listener, sinceMs);
    const { handle, conn, peerAddress } = facts;
    if (header.command === 'local') metrics.local.inc();
    else metrics.accepted.inc({ listener });
    log.debug({ conn, peerAddress, listener, command: header.command }, 'connection accepted');
    this.#sockets.set(handle, socket);
    switchboard().accept(facts);
    this.#listen(socket, handle);
    if (rest.length > 0) this.#read(handle, rest);
  }

  #listen(socket: Socket, handle: number): void {
    socket.removeAllListeners('data').removeAllListeners('end').removeAllListeners('close');
    socket.on('data', (bytes) => this.#read(handle, bufferOf(bytes)));
    socket.on('end', () => this.#take(handle, { kind: 'input_ended' }));
    socket.on('close', (hadError) => {
      this.#take(handle, { kind: 'socket_closed', reason: hadError ? 'socket_error' : 'peer' });
      this.#sockets.delete(handle);
    });
  }

  #read(handle: number, bytes: Uint8Array): void {
    this.#options.metrics.readBytes.inc(bytes.length);
    this.#take(handle, { kind: 'bytes', bytes });
  }

  #take(handle: number, event: ConnectionEvent): void {
    this.#options.switchboard().take(handle, event, this.#options.nowMs());
  }

  #factsOf(header: ProxyHeader, listener: string, acceptedMs: number): ConnectionFacts {
    this.#lastHandle = this.#nextHandle();
    const handle = this.#lastHandle;
    const { sourceAddress, sourcePort, uniqueId, tls } = header;
    return {
      handle,
      conn: uniqueId ?? `${this.#options.idPrefix}-${handle}`,
      peerAddress: sourceAddress,
      peerPort: sourcePort,
      listener,
      tls: tls === undefined ? '' : tlsText(tls),
      acceptedMs,
    };
  }

  /** 32 bits go round after four billion connections; one that still lives keeps its number. */
  #nextHandle(): number {
    let handle = this.#lastHandle;
    do handle = handle === 0xffff_ffff ? 1 : handle + 1;
    while (this.#sockets.has(handle));
    return handle;
  }
}

/** No encoding is set, so it is bytes; the types do not know. */
function bufferOf(chunk: string | Buffer): Buffer {
  return typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
}

function tlsText({ version, cipher, commonName, isVerified }: ProxyTls): string {
  const client = commonName === '' ? '' : ` ${isVerified ? 'cn' : 'unverified-cn'}=${commonName}`;
  return `${version} ${cipher}${client}`.trim().slice(0, 255);
}
