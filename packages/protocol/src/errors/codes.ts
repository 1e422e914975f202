/**
 * Where the same request may succeed. `elsewhere`: on another replica at once, or later. `later`: after a pause, and not
 * sooner on another replica. `never`: the request has to change, or somebody has to see to a machine.
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

/** Every error that crosses a boundary (wire, HTTP, exit code) has one of these codes. Append only. */
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
  /** What a URL or a command names is not there, and asking again does not help. For models: `model-not-found`. */
  'not-found': { status: 404, type: 'invalid_request_error', retry: 'never' },
  /** A member that may not do this: another role is needed. Whoever is no member at all gets `not-a-member`. */
  'not-permitted': { status: 403, type: 'permission_error', retry: 'never' },
  /** Two engines died while they computed one request, which may be the cause: nobody tries it a third time. */
  'request-kills-engines': { status: 422, type: 'invalid_request_error', retry: 'never' },
  /** An HTTP request of more bytes, or a longer prompt, than any may have. */
  'request-too-large': { status: 413, type: 'invalid_request_error', retry: 'never' },
  /** An HTTP request whose body is compressed. */
  'unsupported-encoding': { status: 415, type: 'invalid_request_error', retry: 'never' },
} as const satisfies Record<string, ErrorTraits>);

export type ErrorCode = keyof typeof errorCodes;

/** Whether a string from outside is a code of ours. */
export function isErrorCode(value: string): value is ErrorCode {
  return Object.hasOwn(errorCodes, value);
}

/** Tells where a request that failed with this code may succeed; all who try again ask here. */
export function retryOf(code: ErrorCode): Retry {
  return errorCodes[code].retry;
}

/** Tells whether a deployment that failed with this code may succeed when it asks for less. */
export function mayFitWithLess(code: ErrorCode): boolean {
  const traits: ErrorTraits = errorCodes[code];
  return traits.withLess === true;
}
