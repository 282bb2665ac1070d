/** Logs: JSON lines, pretty on a terminal. Constant message, everything else in fields. */
import { pino, type Logger } from 'pino';

/** Fields that may carry a secret are never written. */
const REDACTED = ['password', '*.password', 'secret', '*.secret', 'redisUrl', '*.redisUrl'];

export function createLogger(
  level: string,
  fields: Readonly<Record<string, string>>,
  isTerminal: boolean,
): Logger {
  const options = {
    level,
    base: fields,
    redact: REDACTED,
    timestamp: pino.stdTimeFunctions.isoTime,
  };
  if (!isTerminal) return pino(options);
  return pino({
    ...options,
    transport: { target: 'pino-pretty', options: { ignore: 'pid,hostname' } },
  });
}
