import type { Writable } from 'node:stream';

import { pino, type Logger } from 'pino';

export const logLevels = ['debug', 'info', 'warn', 'error', 'silent'] as const;

/** Structured lines on stderr: stdout is for answers. Prompts and secrets are never given to a logger. */
export function createLogger(stream: Writable, level: string): Logger {
  return pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, stream);
}
