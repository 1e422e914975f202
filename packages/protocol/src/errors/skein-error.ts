import { z } from 'zod';

import { limits } from '../limits.ts';
import { fieldName } from '../validation/field-name.ts';
import { isErrorCode, retryOf, type ErrorCode } from './codes.ts';

const brand = Symbol.for('skein.error');

export type ErrorDetails = Readonly<Record<string, string | number | boolean>>;

/**
 * The one error type of Skein. Its message is public: it goes to peers and callers unchanged, says what went wrong and
 * names the fix. Internal text (paths of others, stack traces, causes) belongs in `cause`, which never crosses a
 * boundary. Recognise the type with {@link isSkeinError}: two copies of this package may meet in one process, each with
 * a class of its own.
 */
export class SkeinError extends Error {
  readonly code: ErrorCode;
  /** Whether the same request may succeed later. */
  readonly retryable: boolean;
  readonly details: ErrorDetails;
  readonly [brand] = true;

  constructor(code: ErrorCode, message: string, options: { cause?: unknown; details?: ErrorDetails } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'SkeinError';
    this.code = code;
    this.retryable = retryOf(code) !== 'never';
    this.details = options.details ?? {};
  }

  static override [Symbol.hasInstance](value: unknown): boolean {
    return isSkeinError(value);
  }
}

/** Tells whether a value is a SkeinError, whichever copy of this package made it. */
export function isSkeinError(value: unknown): value is SkeinError {
  return value instanceof Error && brand in value;
}

/** An error as it crosses the wire. */
export const wireErrorSchema = z.object({
  code: z.string().max(64),
  message: z.string().max(limits.maxMessageLength),
  details: z.record(z.string().max(64), z.union([z.string().max(512), z.number(), z.boolean()])).optional(),
});
export type WireError = z.infer<typeof wireErrorSchema>;

/**
 * Public messages for foreign errors, by code: a foreign error's own text may name paths and belongs in the log alone.
 */
const publicMessages: Partial<Record<ErrorCode, string>> = {
  'engine-failed': 'the engine failed; see the log of its machine',
};
const internalMessage = 'internal error; see the log of the machine that answered';

/**
 * Returns the public form of any error. A foreign error gets the code `fallback` (default `internal`) and a text of
 * ours in place of its own; aborts and timeouts keep their kind.
 */
export function toWireError(error: unknown, fallback: ErrorCode = 'internal'): WireError {
  if (!isSkeinError(error)) {
    const { code, message } = asSkeinError(error, fallback);
    return { code, message: code === fallback ? (publicMessages[code] ?? internalMessage) : message };
  }
  const { code, details } = error;
  const message = error.message.slice(0, limits.maxMessageLength);
  return Object.keys(details).length === 0 ? { code, message } : { code, message, details };
}

/** Rebuilds an error from the wire. An unknown code, as from a newer version, becomes `internal`; its message stays. */
export function fromWireError(error: WireError): SkeinError {
  const code = isErrorCode(error.code) ? error.code : 'internal';
  return new SkeinError(code, error.message, error.details === undefined ? {} : { details: error.details });
}

/**
 * Turns any thrown value into a SkeinError. A SkeinError stays as it is; aborts become `aborted` and timeouts
 * `deadline-exceeded`; all others become `fallback` (default `internal`) with their own text, which `internal` hides.
 */
export function asSkeinError(error: unknown, fallback: ErrorCode = 'internal'): SkeinError {
  if (isSkeinError(error)) return error;
  const name = error instanceof Error ? error.name : '';
  if (name === 'TimeoutError') return new SkeinError('deadline-exceeded', 'took longer than allowed', { cause: error });
  if (name === 'AbortError') return new SkeinError('aborted', 'cancelled by the caller', { cause: error });
  if (fallback === 'internal') return new SkeinError('internal', internalMessage, { cause: error });
  return new SkeinError(fallback, messageOf(error), { cause: error });
}

function messageOf(error: unknown): string {
  // Zod's own text is a list of issues in JSON.
  if (error instanceof z.core.$ZodError) {
    const [issue] = error.issues;
    return `${(issue && fieldName(issue.path)) || 'a value'} is not as expected`;
  }
  return error instanceof Error ? error.message : String(error);
}
