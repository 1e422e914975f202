import { SkeinError } from '@skein/protocol';

/** Makes the error `not-running` for a machine that plans and deploys nothing. */
export function notCoordinating(): SkeinError {
  return new SkeinError('not-running', 'this machine does not coordinate; run this on the machine that ran `skein up`');
}
