/** What can go wrong with bytes of the link. */

export type LinkErrorCode =
  | 'truncated'
  | 'too_large'
  | 'trailing'
  | 'bad_magic'
  | 'unsupported_version'
  | 'unknown_kind'
  | 'unknown_item'
  | 'bad_value';

/** Bytes that are not a link message. They end the session of whoever sent them. */
export class LinkError extends SyntaxError {
  override readonly name = 'LinkError';
  readonly code: LinkErrorCode;
  /** [bytes] from the start of the message */
  readonly offset: number;

  constructor(code: LinkErrorCode, offset: number, detail: string) {
    super(`Cannot decode link message at byte ${offset}: ${detail}`);
    this.code = code;
    this.offset = offset;
  }
}
