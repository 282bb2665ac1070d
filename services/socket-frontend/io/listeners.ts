/** The Unix sockets HAProxy connects to, one a listener, there only while a server has work for it. */
import { rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { listenUnix } from '#libs/runtime/listen-unix.ts';

export interface ListenersOptions {
  readonly folder: string;
  readonly slot: number;
  readonly accept: (socket: Socket, listener: string) => void;
  /** How many are up now. */
  readonly onChanged: (count: number) => void;
  readonly onFailed: (error: unknown) => void;
  readonly log: Logger;
}

interface Open {
  readonly server: Server;
  readonly path: AsyncDisposable;
}

/** [ms] after its path is gone a listener still takes what HAProxy had connected to it */
const BACKLOG_MS = 250;

export class Listeners implements AsyncDisposable {
  readonly #options: ListenersOptions;
  readonly #open = new Map<string, Open>();
  #wanted: ReadonlySet<string> = new Set();
  #work: Promise<void> = Promise.resolve();

  constructor(options: ListenersOptions) {
    this.#options = options;
  }

  /** Opens what is missing, closes what is too much; one change after the other. */
  want(names: ReadonlySet<string>): void {
    if (names.size === this.#wanted.size && [...names].every((name) => this.#wanted.has(name)))
      return;
    this.#wanted = names;
    this.#work = this.#work.then(() => this.#reconcile()).catch(this.#options.onFailed);
  }

  /** Resolves when all that was wanted is done. */
  async settled(): Promise<void> {
    await this.#work;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.want(new Set());
    await this.settled();
  }

  async #reconcile(): Promise<void> {
    const wanted = this.#wanted;
    for (const name of this.#open.keys()) if (!wanted.has(name)) await this.#close(name);
    for (const name of wanted) if (!this.#open.has(name)) await this.#listen(name);
    this.#options.onChanged(this.#open.size);
  }

  async #listen(name: string): Promise<void> {
    const { accept, log, onFailed } = this.#options;
    const server = createServer({ allowHalfOpen: true }, (socket) => accept(socket, name));
    const path = await listenUnix(server, this.#pathOf(name));
    server.on('error', onFailed);
    this.#open.set(name, { server, path });
    log.info({ listener: name, path: this.#pathOf(name) }, 'listening');
  }

  /** First the path, so that HAProxy goes elsewhere; then the backlog; then the socket. */
  async #close(name: string): Promise<void> {
    const open = this.#open.get(name);
    if (open === undefined) return;
    this.#open.delete(name);
    await rm(this.#pathOf(name), { force: true });
    await new Promise((resolve) => setTimeout(resolve, BACKLOG_MS));
    open.server.close();
    this.#options.log.info({ listener: name }, 'not listening any more');
  }

  #pathOf(name: string): string {
    return join(this.#options.folder, `${this.#options.slot}.${name}.sock`);
  }
}
