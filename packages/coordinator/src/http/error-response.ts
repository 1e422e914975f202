import { asSkeinError, toWireError, type ErrorCode, type ErrorDetails } from '@skein/protocol';

/** OpenAI's error object, which its clients turn into typed exceptions. */
export interface ErrorBody {
  readonly error: {
    readonly message: string;
    readonly type: string;
    /** The request's parameter at fault, e.g. `messages[0].content`. */
    readonly param: string | null;
    /** Skein's code with underscores, so that the codes OpenAI has too (`model_not_found`, ...) are spelled as theirs. */
    readonly code: string;
  };
}

/** HTTP statuses by code. */
const statuses: Readonly<Record<ErrorCode, number>> = {
  'invalid-request': 400,
  'context-length-exceeded': 400,
  'model-not-found': 404,
  'model-invalid': 422,
  'model-unreachable': 502,
  'hash-mismatch': 502,
  'split-unsupported': 422,
  'does-not-fit': 422,
  'no-peers': 503,
  'not-deployed': 503,
  overloaded: 429,
  'stage-lost': 503,
  'peer-lost': 503,
  'engine-failed': 500,
  'engine-incompatible': 500,
  'protocol-violation': 400,
  'frame-too-large': 413,
  'not-a-member': 403,
  'deadline-exceeded': 504,
  aborted: 499,
  'already-running': 409,
  'not-running': 503,
  'disk-failed': 507,
  internal: 500,
  'not-found': 404,
  'not-permitted': 403,
  'request-kills-engines': 422,
  'request-too-large': 413,
  'unsupported-encoding': 415,
  'handed-over': 503,
  'stale-lease': 503,
};

/**
 * Seconds after which the same request may succeed, where the error names none: a busy replica has room again, a lost
 * one has been replaced, a machine is back.
 */
const retryAfterSeconds: Partial<Record<ErrorCode, number>> = {
  overloaded: 1,
  'stage-lost': 2,
  'peer-lost': 2,
  'not-deployed': 2,
  'not-running': 5,
  'no-peers': 10,
  'stale-lease': 2,
};
/** Such seconds for codes that the table does not have. */
const otherRetryAfterSeconds = 5;

/** Returns the public form of any error. A foreign error becomes `internal`, without its text. */
export function errorBody(thrown: unknown): ErrorBody {
  const { message, type, code, details } = publicError(thrown);
  const param = details?.['param'];
  return {
    error: { message, type, param: typeof param === 'string' ? param : null, code: code.replaceAll('-', '_') },
  };
}

/**
 * Returns the public form of an error that ends a stream. `deliveredTokens` are the tokens of the answer that came before it,
 * from all replicas together; it is left out where the error does not know.
 */
export function errorEvent(thrown: unknown): { readonly error: ErrorBody['error'] & { deliveredTokens?: number } } {
  const { error } = errorBody(thrown);
  const { deliveredTokens } = asSkeinError(thrown).details;
  return { error: { ...error, ...(typeof deliveredTokens === 'number' && { deliveredTokens }) } };
}

/** Makes the HTTP answer for an error that came before the first byte of another answer. */
export function errorResponse(thrown: unknown): Response {
  const { code, status, details } = publicError(thrown);
  const isTemporary = status === 429 || status === 503;
  const headers: Record<string, string> = isTemporary ? { 'retry-after': String(retryAfter(code, details)) } : {};
  return Response.json(errorBody(thrown), { status, headers });
}

/** Returns the seconds after which to try again, a whole number. */
function retryAfter(code: ErrorCode, details: ErrorDetails | undefined): number {
  const told = details?.['retryAfterSeconds'];
  return typeof told === 'number' ? Math.ceil(told) : (retryAfterSeconds[code] ?? otherRetryAfterSeconds);
}

function publicError(thrown: unknown) {
  const error = asSkeinError(thrown);
  // Aborts and timeouts get a code and a text of ours; any other foreign error keeps its text, which stays inside.
  const wire = toWireError(error.code === 'internal' ? thrown : error);
  const status = statuses[error.code];
  return { ...wire, code: error.code, status, type: typeOf(status) };
}

/** Returns OpenAI's type of errors with an HTTP status. */
function typeOf(status: number): string {
  if (status === 403) return 'permission_error';
  if (status === 429) return 'rate_limit_error';
  return status >= 500 ? 'server_error' : 'invalid_request_error';
}
