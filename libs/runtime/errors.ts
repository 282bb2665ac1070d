/** Errors that end a process with a code of their own (sysexits(3)). */

/** The configuration or the environment is wrong: exit 78, with all problems at once. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly problems: readonly string[];

  constructor(problems: readonly string[], options?: ErrorOptions) {
    super(`Cannot start: ${problems.join('; ')}`, options);
    this.problems = problems;
  }
}

/** Something we stand on does not answer: exit 69, and whoever started us tries again. */
export class UnavailableError extends Error {
  override readonly name = 'UnavailableError';
}

export const EXIT_STOPPED = 0;
export const EXIT_UNAVAILABLE = 69;
export const EXIT_BUG = 70;
export const EXIT_CONFIG = 78;
