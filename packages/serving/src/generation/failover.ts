import { retryOf, SkeinError } from '@skein/protocol';

/** A failed attempt at a generation. */
export interface AttemptFailure {
  readonly error: SkeinError;
  /** Whether the lead had taken the request into its queue. */
  readonly hasBegun: boolean;
  /** Whether a token or a piece of text had come. The caller may have passed it on, and another replica would begin anew. */
  readonly hasText: boolean;
}

/** Tells whether an engine, or its machine, was lost while it had the request. */
export function costAnEngine({ error, hasBegun }: AttemptFailure): boolean {
  return error.code === 'stage-lost' || (error.code === 'peer-lost' && hasBegun);
}

/**
 * Decides how to go on after a failed attempt: returns undefined to try another replica, or the error that ends the
 * run.
 *
 * @param areEnginesSpent as many engines died over the request as one request may cost
 */
export function errorAfter({ error, hasText }: AttemptFailure, areEnginesSpent: boolean): SkeinError | undefined {
  if (hasText || retryOf(error.code) !== 'elsewhere') return error;
  if (!areEnginesSpent) return undefined;
  if (error.code !== 'stage-lost') return error;
  return new SkeinError(
    'request-kills-engines',
    'two engines died while they computed this request, so it is not tried a third time; change it, or send it again if other requests were the cause',
    { cause: error },
  );
}
