/** What can be wrong with bytes from outside. */

export type WireErrorCode =
  | 'truncated'
  | 'trailing'
  | 'non_canonical'
  | 'too_large'
  | 'too_small'
  | 'bad_hex'
  | 'bad_value'
  | 'opaque_mweb';

/** Bytes that are not what they should be. `code` is for programs, `message` for people. */
export class WireError extends SyntaxError {
  override readonly name = 'WireError';
  readonly code: WireErrorCode;
  /** [bytes] where in the input the offending item begins */
  readonly offset: number;

  constructor(code: WireErrorCode, offset: number, detail: string, options?: ErrorOptions) {
    super(`Cannot read bytes at offset ${offset} (${code}): ${detail}`, options);
    this.code = code;
    this.offset = offset;
  }
}
