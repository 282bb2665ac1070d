/** What can be wrong with bytes this service is given back. */

export type CapsuleErrorCode = 'truncated' | 'unknown_version' | 'too_large' | 'malformed';

/** A capsule is not one of ours: the connection that brought it ends, nothing else. */
export class CapsuleError extends SyntaxError {
  override readonly name = 'CapsuleError';
  readonly code: CapsuleErrorCode;
  /** [bytes] where in the capsule */
  readonly offset: number;

  constructor(code: CapsuleErrorCode, offset: number, detail: string) {
    super(`Cannot read capsule at byte ${offset}: ${detail}`);
    this.code = code;
    this.offset = offset;
  }
}
