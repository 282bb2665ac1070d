/** Logs: JSON lines, pretty on a terminal. Constant message, everything else in fields. */
import { pino, type Logger, type LoggerOptions } from 'pino';
import type { LogOutput } from './log-output.ts';

/** Fields that may carry a secret are never written; a Redis error carries its command's arguments. */
const REDACTED = [
  'password',
  '*.password',
  'secret',
  '*.secret',
  'redisUrl',
  '*.redisUrl',
  'err.command',
];

/** @param output where lines go; `terminal` writes them for people */
export function createLogger(
  level: string,
  fields: Readonly<Record<string, string>>,
  output: LogOutput | 'terminal',
): Logger {
  const options: LoggerOptions = {
    level,
    base: fields,
    redact: REDACTED,
    timestamp: pino.stdTimeFunctions.isoTime,
  };
  if (output !== 'terminal') return pino(options, output);
  return pino({
    ...options,
    transport: { target: 'pino-pretty', options: { ignore: 'pid,hostname' } },
  });
}
