import { SkeinError } from '@skein/protocol';

/**
 * Makes the error of a request whose client went away. Node's server has reasons of its own, which would pass for a
 * fault of ours.
 */
export function clientLeft(cause?: unknown): SkeinError {
  return new SkeinError('aborted', 'the client went away', cause === undefined ? {} : { cause });
}
