/** One connection of a miner: lines, ids, and whether every question is answered once and in order. No mining. */
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { Tally } from './report.ts';

const LINE_CHARS_MAX = 1_048_576;
/** Ids answered lately, to tell a second answer from an unknown one. */
const ANSWERED_MAX = 1_024;

export interface PoolUrl {
  readonly host: string;
  readonly port: number;
  readonly isTls: boolean;
}

export interface Answer {
  readonly result: unknown;
  /** 0: none */
  readonly errorCode: number;
  readonly errorText: string;
}

export interface ClientListener {
  onConnect(): void;
  /** A notification, or a question with its id. */
  onRequest(method: string, params: unknown, id: unknown): void;
  onClose(reason: string): void;
}

interface Waiting {
  readonly method: string;
  readonly sentMs: number;
  readonly onAnswer: (answer: Answer) => void;
}

/** `stratum+tcp://host:port`, or `stratum+ssl://…`. @throws {TypeError} if it is neither */
export function parsePoolUrl(text: string): PoolUrl {
  const match = /^(?:stratum\+)?(tcp|ssl|tls):\/\/([^/:]+|\[[^\]]+\]):(\d{1,5})\/?$/.exec(text);
  const [, scheme, host, port] = match ?? [];
  if (scheme === undefined || host === undefined)
    throw new TypeError(`Cannot use "${text}" as a pool: it is not stratum+tcp://host:port`);
  return { host: host.replace(/^\[|\]$/g, ''), port: Number(port), isTls: scheme !== 'tcp' };
}

export class StratumClient {
  readonly #socket: Socket;
  readonly #listener: ClientListener;
  readonly #tally: Tally;
  /** In the order in which they were asked. */
  readonly #waiting = new Map<number, Waiting>();
  readonly #answered = new Set<number>();
  #nextId = 1;
  #rest = '';
  #isClosed = false;

  constructor(url: PoolUrl, tally: Tally, listener: ClientListener) {
    this.#listener = listener;
    this.#tally = tally;
    const { host, port } = url;
    // A pool's certificate is usually self-signed; this tool measures, it has no secrets.
    this.#socket = url.isTls
      ? connectTls({ host, port, rejectUnauthorized: false })
      : connectTcp({ host, port });
    this.#socket.setEncoding('utf8');
    this.#socket.setNoDelay(true);
    this.#socket.once(url.isTls ? 'secureConnect' : 'connect', () => listener.onConnect());
    this.#socket.on('data', (text: string) => this.#receive(text));
    this.#socket.on('error', (error) => this.#end(error.message));
    this.#socket.on('close', () => this.#end('closed by the pool'));
  }

  /** Questions without an answer yet. */
  get unanswered(): number {
    return this.#waiting.size;
  }

  /** [ms] for how long the oldest question has been waiting; 0 without any */
  oldestWaitMs(nowMs: number): number {
    const [oldest] = this.#waiting.values();
    return oldest === undefined ? 0 : nowMs - oldest.sentMs;
  }

  request(method: string, params: readonly unknown[], onAnswer: (answer: Answer) => void): void {
    const id = this.#nextId;
    this.#nextId += 1;
    this.#waiting.set(id, { method, sentMs: performance.now(), onAnswer });
    this.#write({ id, method, params });
  }

  answer(id: unknown, result: unknown): void {
    this.#write({ id, result, error: null });
  }

  close(reason: string): void {
    this.#end(reason);
  }

  /** What goes out in one turn goes out in one packet, as a miner's first requests do. */
  #write(message: object): void {
    if (this.#isClosed) return;
    if (this.#socket.writableCorked === 0) {
      this.#socket.cork();
      queueMicrotask(() => this.#socket.uncork());
    }
    this.#socket.write(`${JSON.stringify(message)}\n`);
  }

  #receive(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) {
      if (!this.#isClosed) this.#receiveLine(line);
    }
    if (this.#rest.length > LINE_CHARS_MAX) {
      this.#tally.fault('malformed_line', 'a line of more than 1 MB');
      this.#end('line too long');
    }
  }

  #receiveLine(line: string): void {
    let message: unknown;
    try {
      message = JSON.parse(line);
    } catch {
      return this.#tally.fault('malformed_line', `no JSON: ${line.slice(0, 80)}`);
    }
    if (typeof message !== 'object' || message === null)
      return this.#tally.fault('malformed_line', `no object: ${line.slice(0, 80)}`);
    const { id, method, params, result, error } = message as Readonly<Record<string, unknown>>;
    if (typeof method === 'string') this.#listener.onRequest(method, params, id ?? null);
    else if (typeof id === 'number') this.#receiveAnswer(id, answerOf(result, error));
    else this.#tally.fault('unknown_answer', `id ${JSON.stringify(id)}: ${line.slice(0, 80)}`);
  }

  #receiveAnswer(id: number, answer: Answer | undefined): void {
    const waiting = this.#waiting.get(id);
    if (waiting === undefined) {
      const kind = this.#answered.has(id) ? 'answered_twice' : 'unknown_answer';
      return this.#tally.fault(kind, `id ${id}`);
    }
    const [first] = this.#waiting.keys();
    if (first !== id)
      this.#tally.fault('out_of_order', `${id} (${waiting.method}) before ${first}`);
    this.#waiting.delete(id);
    this.#remember(id);
    this.#tally.answered(performance.now() - waiting.sentMs, waiting.method === 'mining.submit');
    if (answer === undefined)
      return this.#tally.fault('malformed_line', `answer to ${waiting.method}`);
    waiting.onAnswer(answer);
  }

  #remember(id: number): void {
    this.#answered.add(id);
    const [oldest] = this.#answered;
    if (this.#answered.size > ANSWERED_MAX && oldest !== undefined) this.#answered.delete(oldest);
  }

  #end(reason: string): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#socket.destroy();
    for (const [id, { method }] of this.#waiting)
      this.#tally.fault('never_answered', `id ${id} (${method}): ${reason}`);
    this.#waiting.clear();
    this.#listener.onClose(reason);
  }
}

/** `[code, text, trace]` and `{code, message}` are both in use. Undefined: neither result nor error makes sense. */
function answerOf(result: unknown, error: unknown): Answer | undefined {
  if (error === null || error === undefined) return { result, errorCode: 0, errorText: '' };
  const [code, text] = Array.isArray(error)
    ? (error as unknown[])
    : [Reflect.get(Object(error), 'code'), Reflect.get(Object(error), 'message')];
  if (typeof code !== 'number' || code === 0) return undefined;
  return { result, errorCode: code, errorText: String(text) };
}
