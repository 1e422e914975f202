import type { Writable } from 'node:stream';

import { isSkeinError } from '@skein/protocol';
import { pino, type Logger } from 'pino';

import { formatLogLine } from '../output/format-log-line.ts';

export const logLevels = ['debug', 'info', 'warn', 'error', 'silent'] as const;

/**
 * Makes a logger of structured lines on `stream`, which is stderr: stdout is for answers. On a terminal it writes text
 * for people. Never give prompts or secrets to a logger.
 */
export function createLogger(stream: Writable & { readonly isTTY?: boolean }, level: string): Logger {
  const forPeople = { write: (line: string) => void stream.write(`${formatLogLine(line)}\n`) };
  // Without these an error is logged as {}: its fields are not enumerable.
  const error = level === 'debug' ? pino.stdSerializers.err : describeError;
  const serializers = { error, cause: error };
  const options = { level, base: null, timestamp: pino.stdTimeFunctions.isoTime, serializers };
  return pino(options, stream.isTTY === true ? forPeople : stream);
}

/** Describes an error: ours by its message, which names the fix; a fault in Skein also by its stack. */
function describeError(error: Error): object {
  const described = pino.stdSerializers.err(error);
  if (!isSkeinError(error) || error.code === 'internal') return described;
  return { code: error.code, message: described.message };
}
