import { isSkeinError, retryOf, SkeinError } from '@skein/protocol';

const noOther = 'there is no other replica to go on with';

/** A failed attempt at a generation. */
export interface AttemptFailure {
  readonly error: SkeinError;
  /** Whether the lead had taken the request into its queue. */
  readonly hasBegun: boolean;
  /** Whether the attempt was to continue an answer of other leads. */
  readonly isResumed: boolean;
  /** Whether another lead can take the answer up where it is. */
  readonly canResume: boolean;
}

/** Tells whether an engine, or its machine, was lost while it had the request. */
export function costAnEngine({ error, hasBegun }: Pick<AttemptFailure, 'error' | 'hasBegun'>): boolean {
  return error.code === 'stage-lost' || (error.code === 'peer-lost' && hasBegun);
}

/**
 * Decides how to go on after a failed attempt: returns undefined to try another replica, or the error that ends the
 * run.
 *
 * @param areEnginesSpent as many engines died over the request as one request may cost
 */
export function errorAfter(failure: AttemptFailure, areEnginesSpent: boolean): SkeinError | undefined {
  const { error, canResume } = failure;
  if (!canResume || (retryOf(error.code) !== 'elsewhere' && !isUnfit(failure))) return error;
  if (!areEnginesSpent) return undefined;
  if (error.code !== 'stage-lost') return error;
  return new SkeinError(
    'request-kills-engines',
    'engines died while they computed this request, two at one place of its answer or four in all, so it is not tried again; change it, or send it again if other requests were the cause',
    { cause: error },
  );
}

/** Tells whether a lead refused to continue an answer, since its context is smaller or its template another. */
function isUnfit({ error, hasBegun, isResumed }: AttemptFailure): boolean {
  return isResumed && !hasBegun && ['invalid-request', 'context-length-exceeded'].includes(error.code);
}

/**
 * Returns the error of a run that ends before anything was delivered: an answer that was handed over, and that nobody
 * took, was not deployed.
 */
export function errorBeforePart(error: unknown): unknown {
  if (!isSkeinError(error) || error.code !== 'handed-over') return error;
  return new SkeinError('not-deployed', `${error.message}, and ${noOther}`, { cause: error });
}

/**
 * Makes the error that ends an answer of which a part was delivered.
 *
 * @param options.lost the error of the replica that was lost, where the run ends for want of another one
 * @param options.tokens number of tokens that were delivered
 */
export function errorAfterPart(
  error: SkeinError,
  { lost, tokens }: { readonly lost: SkeinError | undefined; readonly tokens: number },
): SkeinError {
  const reason = lost === undefined ? error.message : `${lost.message}, and ${whyNoOther(error, lost)}`;
  const delivered = `${tokens} ${tokens === 1 ? 'token' : 'tokens'} of the answer had been delivered`;
  const { code } = lost ?? error;
  return new SkeinError(code === 'handed-over' ? 'not-deployed' : code, `${reason}; ${delivered}`, {
    cause: error,
    details: { ...(lost ?? error).details, deliveredTokens: tokens },
  });
}

function whyNoOther(error: SkeinError, lost: SkeinError): string {
  return error === lost ? noOther : `no other replica could go on: ${error.message}`;
}
