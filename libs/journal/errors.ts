/** What can go wrong with a journal. Bytes that are wrong are `WireError`s of libs/bitcoin/errors.ts. */

export type JournalErrorCode =
  | 'no_space'
  | 'read_only'
  | 'io'
  | 'closed'
  | 'bad_name'
  | 'bad_format'
  | 'path_too_long';

/** The journal cannot do what was asked. `code` is for programs, `message` for people. */
export class JournalError extends Error {
  override readonly name = 'JournalError';
  readonly code: JournalErrorCode;
  readonly journalId: string;

  constructor(code: JournalErrorCode, journalId: string, detail: string, options?: ErrorOptions) {
    super(`Cannot use journal ${journalId} (${code}): ${detail}`, options);
    this.code = code;
    this.journalId = journalId;
  }
}

/** The `code` of a system error such as `ENOSPC`, or ''. */
export function systemCode(error: unknown): string {
  if (!(error instanceof Error) || !('code' in error)) return '';
  return typeof error.code === 'string' ? error.code : '';
}

/** A failed file operation as a JournalError that says whether the disk is full or read-only. */
export function journalErrorOf(error: unknown, journalId: string, detail: string): JournalError {
  if (error instanceof JournalError) return error;
  const code = systemCode(error);
  const kind =
    code === 'ENOSPC' || code === 'EDQUOT' ? 'no_space' : code === 'EROFS' ? 'read_only' : 'io';
  return new JournalError(kind, journalId, `${detail}: ${code || String(error)}`, { cause: error });
}
