/**
 * The place or time at which the same request may succeed. `elsewhere`: on another replica at once, or later. `later`:
 * after a pause, and not sooner on another replica. `never`: somebody has to change the request or attend to a machine.
 */
export type Retry = 'elsewhere' | 'later' | 'never';

interface ErrorTraits {
  /** HTTP status. */
  readonly status: number;
  /** OpenAI's error type. */
  readonly type: string;
  readonly retry: Retry;
  /** Whether a deployment that asks for less, such as a smaller context, may succeed where this one failed. */
  readonly withLess?: true;
}

/** The codes of errors that cross a boundary (wire, HTTP, exit code), with their traits. Append only. */
export const errorCodes = Object.freeze({
  'invalid-request': { status: 400, type: 'invalid_request_error', retry: 'never' },
  'context-length-exceeded': { status: 400, type: 'invalid_request_error', retry: 'never' },
  'model-not-found': { status: 404, type: 'invalid_request_error', retry: 'never' },
  'model-invalid': { status: 422, type: 'invalid_request_error', retry: 'never' },
  'model-unreachable': { status: 502, type: 'server_error', retry: 'later' },
  'hash-mismatch': { status: 502, type: 'server_error', retry: 'never' },
  'split-unsupported': { status: 422, type: 'invalid_request_error', retry: 'never' },
  'does-not-fit': { status: 422, type: 'invalid_request_error', retry: 'never', withLess: true },
  'no-peers': { status: 503, type: 'server_error', retry: 'later', withLess: true },
  'not-deployed': { status: 503, type: 'server_error', retry: 'elsewhere' },
  overloaded: { status: 429, type: 'rate_limit_error', retry: 'elsewhere' },
  'stage-lost': { status: 503, type: 'server_error', retry: 'elsewhere' },
  'peer-lost': { status: 503, type: 'server_error', retry: 'elsewhere' },
  'engine-failed': { status: 500, type: 'server_error', retry: 'later' },
  'engine-incompatible': { status: 500, type: 'server_error', retry: 'never' },
  'protocol-violation': { status: 400, type: 'invalid_request_error', retry: 'never' },
  'frame-too-large': { status: 413, type: 'invalid_request_error', retry: 'never' },
  'not-a-member': { status: 403, type: 'permission_error', retry: 'never' },
  'deadline-exceeded': { status: 504, type: 'server_error', retry: 'later' },
  aborted: { status: 499, type: 'invalid_request_error', retry: 'never' },
  'already-running': { status: 409, type: 'invalid_request_error', retry: 'never' },
  'not-running': { status: 503, type: 'server_error', retry: 'elsewhere' },
  'disk-failed': { status: 507, type: 'server_error', retry: 'later' },
  internal: { status: 500, type: 'server_error', retry: 'never' },
  /** The target of a URL or a command does not exist, and asking again does not help. For models: `model-not-found`. */
  'not-found': { status: 404, type: 'invalid_request_error', retry: 'never' },
  /** A member lacks the role that this takes. A stranger gets `not-a-member`. */
  'not-permitted': { status: 403, type: 'permission_error', retry: 'never' },
  /** Two engines died while they computed one request, which may be the cause: it is not tried a third time. */
  'request-kills-engines': { status: 422, type: 'invalid_request_error', retry: 'never' },
  /** An HTTP request has more bytes, or a longer prompt, than any may have. */
  'request-too-large': { status: 413, type: 'invalid_request_error', retry: 'never' },
  /** The body of an HTTP request is compressed. */
  'unsupported-encoding': { status: 415, type: 'invalid_request_error', retry: 'never' },
} as const satisfies Record<string, ErrorTraits>);

export type ErrorCode = keyof typeof errorCodes;

/** Tells whether a string from outside is one of our error codes. */
export function isErrorCode(value: string): value is ErrorCode {
  return Object.hasOwn(errorCodes, value);
}

/** Returns where a request that failed with this code may succeed. Every decision to try again asks here. */
export function retryOf(code: ErrorCode): Retry {
  return errorCodes[code].retry;
}

/** Tells whether a deployment that failed with this code may succeed when it asks for less. */
export function mayFitWithLess(code: ErrorCode): boolean {
  const traits: ErrorTraits = errorCodes[code];
  return traits.withLess === true;
}
