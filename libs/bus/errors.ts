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

export type WireErrorCode =
  | 'truncated'
  | 'too_large'
  | 'bad_magic'
  | 'unknown_version'
  | 'unknown_kind'
  | 'bad_frames'
  | 'bad_subject'
  | 'bad_body';

/** Bytes from outside are not a bus message. The edge counts it and drops the message. */
export class WireError extends SyntaxError {
  override readonly name = 'WireError';
  readonly code: WireErrorCode;
  /** [bytes] from the start of the frame */
  readonly offset: number;

  constructor(code: WireErrorCode, offset: number, detail: string, options?: ErrorOptions) {
    super(`Cannot read bus message at byte ${offset}: ${detail}`, options);
    this.code = code;
    this.offset = offset;
  }
}
