/** Assertions: a failure is our bug, never bad input. */

/** Our bug: the process logs it and exits 70. */
export class AssertionError extends Error {
  override readonly name = 'AssertionError';
}

/** Throws {@link AssertionError} unless `condition` holds. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AssertionError(message);
}

/** The compiler proves that this is never reached; at run time it is our bug. */
export function unreachable(value: never): never {
  throw new AssertionError(`Cannot handle ${JSON.stringify(value)}: every variant has a branch`);
}
