/** What can go wrong on the bus. */

export type BusErrorCode =
  | 'timeout'
  | 'no_responder'
  | 'peer_lost'
  | 'remote'
  | 'malformed'
  | 'overloaded'
  | 'aborted';

/** A bus call failed. `code` is for programs, `message` for people: never match on `message`. */
export class BusError extends Error {
  override readonly name = 'BusError';
  readonly code: BusErrorCode;
  readonly subject: string;
  readonly retryable: boolean;

  constructor(code: BusErrorCode, subject: string, detail: string, options?: ErrorOptions) {
    super(`Cannot call "${subject}": ${detail}`, options);
    this.code = code;
    this.subject = subject;
    this.retryable = code !== 'remote' && code !== 'malformed';
  }
}
