/** How a process ends: its code and its last words. */
import type { Logger } from 'pino';
import {
  ConfigError,
  EXIT_BUG,
  EXIT_CONFIG,
  EXIT_UNAVAILABLE,
  UnavailableError,
} from './errors.ts';
import { ownerOfPort } from './port-owner.ts';

/** [ms] the last log lines get; a log that nobody reads does not keep a dead process alive */
const FLUSH_MAX_MS = 1_000;
/** Errors of listen(2) and bind(2) that say the address is wrong, or somebody else's. */
const BAD_ADDRESS = ['EADDRINUSE', 'EADDRNOTAVAIL', 'EACCES'];

interface ListenError extends Error {
  readonly code: string;
  readonly port: number;
}

export function exitCodeOf(error: unknown): number {
  if (error instanceof ConfigError || isListenError(error)) return EXIT_CONFIG;
  return error instanceof UnavailableError ? EXIT_UNAVAILABLE : EXIT_BUG;
}

/** Logs why, and ends the process. */
export async function exitFor(error: unknown, log: Logger): Promise<never> {
  const code = exitCodeOf(error);
  if (error instanceof ConfigError)
    log.fatal(
      { problems: error.problems, cause: messageOf(error.cause) },
      'configuration is wrong',
    );
  else if (isListenError(error)) await logListenError(error, log);
  else log.fatal({ err: error }, code === EXIT_UNAVAILABLE ? 'cannot start' : 'our bug');
  await flushed(log);
  process.exit(code);
}

async function logListenError(error: ListenError, log: Logger): Promise<void> {
  const { code, port } = error;
  if (code !== 'EADDRINUSE') log.fatal({ err: error, port }, 'address cannot be used');
  else log.fatal({ owner: await ownerOfPort(port), port, why: error.message }, 'port is taken');
}

function isListenError(error: unknown): error is ListenError {
  if (!(error instanceof Error && 'code' in error && 'port' in error)) return false;
  return typeof error.code === 'string' && BAD_ADDRESS.includes(error.code);
}

function messageOf(cause: unknown): string | undefined {
  return cause instanceof Error ? cause.message : undefined;
}

/** Resolves when the log is written, or after a second. */
export async function flushed(log: Logger): Promise<void> {
  await new Promise<void>((resolve) => {
    setTimeout(resolve, FLUSH_MAX_MS);
    log.flush(() => resolve());
  });
}
