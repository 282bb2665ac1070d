/** Calls to one peer that wait for their reply. No socket: the timer is the only thing outside. */
import { z } from 'zod';
import type { ReplyOf, Rpc } from '#libs/contracts/define.ts';
import { subjectOf } from '#libs/contracts/define.ts';
import { BusError, type BusErrorCode } from './errors.ts';
import { decodeBody, type Reply } from './frame.ts';

/** What the answering side may say instead of a reply. */
export const ERROR_CODES = ['remote', 'no_responder', 'overloaded', 'malformed'] as const;
const errorBody = z.object({ code: z.string().max(64), message: z.string().max(1_024) });

interface PendingCall {
  readonly rpc: Rpc;
  readonly subject: string;
  readonly resolve: (reply: unknown) => void;
  readonly reject: (error: BusError) => void;
  readonly release: () => void;
}

export interface CallSpec<R extends Rpc> {
  /** From `nextCorrelation()`. */
  readonly correlation: number;
  readonly rpc: R;
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
}

export class CallTable {
  readonly #pending = new Map<number, PendingCall>();
  #newest = 0;

  get size(): number {
    return this.#pending.size;
  }

  /** A number no call of this table had. */
  nextCorrelation(): number {
    return (this.#newest += 1);
  }

  /**
   * Begins a call: its reply settles by `settle`, `failAll`, time or abort, whichever is first.
   * Await it at once: it may reject at any time.
   */
  open<R extends Rpc>({ correlation, rpc, timeoutMs, signal }: CallSpec<R>): Promise<ReplyOf<R>> {
    const subject = subjectOf(rpc);
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const timer = setTimeout(() => {
      this.#fail(correlation, 'timeout', `no reply within ${timeoutMs} ms`);
    }, timeoutMs);
    const onAbort = () => this.#fail(correlation, 'aborted', 'the caller gave up', signal?.reason);
    signal?.addEventListener('abort', onAbort, { once: true });
    const release = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
    };
    this.#pending.set(correlation, { rpc, subject, resolve, reject, release });
    return promise as Promise<ReplyOf<R>>; // `settle` parsed it by the RPC's schema.
  }

  /**
   * Ends the call a reply or error belongs to. Late ones belong to none and are ignored.
   *
   * @returns the subject, if its body was malformed
   */
  settle(message: Reply): string | undefined {
    const call = this.#take(message.header.sequence);
    if (call === undefined) return undefined;
    try {
      if (message.header.kind === 'error') call.reject(remoteError(call.subject, message.body));
      else call.resolve(call.rpc.reply.parse(decodeBody(message.body)));
      return undefined;
    } catch (cause) {
      call.reject(new BusError('malformed', call.subject, 'the reply is malformed', { cause }));
      return call.subject;
    }
  }

  fail(correlation: number, code: BusErrorCode, detail: string): void {
    this.#fail(correlation, code, detail);
  }

  failAll(code: BusErrorCode, detail: string): void {
    for (const correlation of [...this.#pending.keys()]) this.#fail(correlation, code, detail);
  }

  #fail(correlation: number, code: BusErrorCode, detail: string, cause?: unknown): void {
    const call = this.#take(correlation);
    call?.reject(new BusError(code, call.subject, detail, cause === undefined ? {} : { cause }));
  }

  #take(correlation: number): PendingCall | undefined {
    const call = this.#pending.get(correlation);
    this.#pending.delete(correlation);
    call?.release();
    return call;
  }
}

/** A code of a later version is `remote` to us. @throws {WireError} if the body is no error */
function remoteError(subject: string, body: Uint8Array): BusError {
  const { code, message } = errorBody.parse(decodeBody(body));
  const known = ERROR_CODES.find((candidate) => candidate === code) ?? 'remote';
  return new BusError(known, subject, message);
}
