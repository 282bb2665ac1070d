/** Waiting for conditions, never for time. */

export interface WaitOptions {
  /** [ms] after which the wait fails; generous, since machines are noisy. */
  readonly timeoutMs?: number;
  readonly what?: string;
}

/** Polls until `condition` gives a truthy value and returns it. @throws {Error} after `timeoutMs`, with the last error as cause */
export async function waitFor<T>(
  condition: () => T | Promise<T>,
  { timeoutMs = 20_000, what = 'a condition' }: WaitOptions = {},
): Promise<NonNullable<T>> {
  const endMs = performance.now() + timeoutMs;
  let cause: unknown;
  while (performance.now() < endMs) {
    try {
      const value = await condition();
      if (value) return value;
    } catch (error) {
      cause = error;
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`Cannot see ${what} within ${timeoutMs} ms`, { cause });
}
