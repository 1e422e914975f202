import type { Writable } from 'node:stream';

import { isSkeinError } from '@skein/protocol';
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
  const error = level === 'debug' ? pino.stdSerializers.err : describeError;
  const serializers = { error, cause: error };
  const options = { level, base: null, timestamp: pino.stdTimeFunctions.isoTime, serializers };
  return pino(options, stream.isTTY === true ? forPeople : stream);
}

/** An error of ours says by itself what helps. Of a fault in Skein it matters where it happened. */
function describeError(error: Error): object {
  const described = pino.stdSerializers.err(error);
  if (!isSkeinError(error) || error.code === 'internal') return described;
  return { code: error.code, message: described.message };
}
