import type { Writable } from 'node:stream';

import { pino, type Logger } from 'pino';

import { formatLogLine } from '../output/format-log-line.ts';

export const logLevels = ['debug', 'info', 'warn', 'error', 'silent'] as const;

/**
 * Structured lines on stderr: stdout is for answers. For people on a terminal, as text. Prompts and secrets are never given
 * to a logger.
 */
export function createLogger(stream: Writable & { readonly isTTY?: boolean }, level: string): Logger {
  const forPeople = { write: (line: string) => void stream.write(`${formatLogLine(line)}\n`) };
  // Without these an error is logged as {}: its fields are not enumerable.
  const serializers = { error: pino.stdSerializers.err, cause: pino.stdSerializers.err };
  const options = { level, base: null, timestamp: pino.stdTimeFunctions.isoTime, serializers };
  return pino(options, stream.isTTY === true ? forPeople : stream);
}
