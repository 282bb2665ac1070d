/** The answering half of a bus: from a request to its handler to a reply. */
import { assert } from '#libs/assert.ts';
import { type ReplyOf, type RequestOf, type Rpc, subjectOf } from '#libs/contracts/define.ts';
import type { Origin, Subscription } from './bus.ts';
import type { BusMetrics } from './bus-metrics.ts';
import type { ERROR_CODES } from './call-table.ts';
import type { Complaints } from './complaints.ts';
import { decodeBody, encodeBody, encodeReply, type Frames, type Request } from './frame.ts';

/** [calls] answered at a time; more are refused as `overloaded` */
const SERVING_MAX = 1_024;

type ErrorCode = (typeof ERROR_CODES)[number];
type Handler = (request: unknown, origin: Origin) => unknown;
type Outcome =
  | { readonly kind: 'reply'; readonly body: Uint8Array }
  | { readonly kind: 'error'; readonly code: ErrorCode; readonly message: string };

interface Served {
  readonly rpc: Rpc;
  readonly handler: Handler;
}

export class RpcServer {
  readonly #bootId: string;
  readonly #metrics: BusMetrics;
  readonly #complaints: Complaints;
  readonly #nowMs: () => number;
  readonly #served = new Map<string, Served>();
  #serving = 0;

  constructor(bootId: string, metrics: BusMetrics, complaints: Complaints, nowMs: () => number) {
    this.#bootId = bootId;
    this.#metrics = metrics;
    this.#complaints = complaints;
    this.#nowMs = nowMs;
  }

  /** See {@link Bus.serve}. One handler an RPC. */
  serve<R extends Rpc>(
    rpc: R,
    handler: (request: RequestOf<R>, origin: Origin) => Promise<ReplyOf<R>> | ReplyOf<R>,
  ): Subscription {
    const subject = subjectOf(rpc);
    assert(!this.#served.has(subject), `${subject} is served twice`);
    this.#served.set(subject, { rpc, handler: handler as Handler }); // `#handle` parses by the RPC's schema.
    return { [Symbol.dispose]: () => void this.#served.delete(subject) };
  }

  /** Answers one request, unless its caller waits no longer. Never rejects. */
  async receive(
    request: Request,
    peer: Origin['peer'],
    reply: (frames: Frames) => void,
  ): Promise<void> {
    const { sequence, timeoutMs } = request.header;
    const startMs = this.#nowMs();
    const outcome = await this.#answer(request, peer);
    const subject = this.#served.has(request.subject) ? request.subject : 'unknown';
    const isLate = timeoutMs > 0 && this.#nowMs() - startMs > timeoutMs;
    this.#metrics.served.inc({ subject, outcome: labelOf(outcome, isLate) });
    if (isLate) return;
    const header = { kind: outcome.kind, bootId: this.#bootId, sequence, timeoutMs: 0 } as const;
    reply(encodeReply(header, bodyOf(outcome)));
  }

  async #answer(request: Request, peer: Origin['peer']): Promise<Outcome> {
    const served = this.#served.get(request.subject);
    if (served === undefined) return refusal('no_responder', 'not served here');
    if (this.#serving >= SERVING_MAX)
      return refusal('overloaded', `${SERVING_MAX} calls in flight`);
    this.#metrics.serving.set((this.#serving += 1));
    try {
      return await this.#handle(request, served, peer);
    } finally {
      this.#metrics.serving.set((this.#serving -= 1));
    }
  }

  async #handle(
    request: Request,
    { rpc, handler }: Served,
    peer: Origin['peer'],
  ): Promise<Outcome> {
    let message: unknown;
    try {
      message = rpc.request.parse(decodeBody(request.body));
    } catch (error) {
      this.#complaints.malformed(request.subject, peer.bootId, error);
      return refusal('malformed', 'the request is malformed');
    }
    try {
      const { sequence: seq } = request.header;
      const reply = await handler(message, { peer, seq, attachments: request.attachments });
      return { kind: 'reply', body: encodeBody(reply) };
    } catch (error) {
      this.#complaints.listenerThrew(request.subject, error);
      return refusal('remote', error instanceof Error ? error.message : String(error));
    }
  }
}

function refusal(code: ErrorCode, message: string): Outcome {
  return { kind: 'error', code, message: message.slice(0, 1_024) };
}

function labelOf(outcome: Outcome, isLate: boolean): string {
  if (isLate) return 'late';
  return outcome.kind === 'reply' ? 'reply' : outcome.code;
}

function bodyOf(outcome: Outcome): Uint8Array {
  if (outcome.kind === 'reply') return outcome.body;
  return encodeBody({ code: outcome.code, message: outcome.message });
}
