/**
 * Every error that crosses a boundary (wire, HTTP, exit code) has one of these codes. Append only.
 * `status` is the HTTP status, `type` OpenAI's error type, `retryable` whether the same request may work later.
 */
export const errorCodes = Object.freeze({
  'invalid-request': { status: 400, type: 'invalid_request_error', retryable: false },
  'context-length-exceeded': { status: 400, type: 'invalid_request_error', retryable: false },
  'model-not-found': { status: 404, type: 'invalid_request_error', retryable: false },
  'model-invalid': { status: 422, type: 'invalid_request_error', retryable: false },
  'model-unreachable': { status: 502, type: 'server_error', retryable: true },
  'hash-mismatch': { status: 502, type: 'server_error', retryable: false },
  'split-unsupported': { status: 422, type: 'invalid_request_error', retryable: false },
  'does-not-fit': { status: 422, type: 'invalid_request_error', retryable: false },
  'no-peers': { status: 503, type: 'server_error', retryable: true },
  'not-deployed': { status: 503, type: 'server_error', retryable: true },
  overloaded: { status: 429, type: 'rate_limit_error', retryable: true },
  'stage-lost': { status: 503, type: 'server_error', retryable: true },
  'peer-lost': { status: 503, type: 'server_error', retryable: true },
  'engine-failed': { status: 500, type: 'server_error', retryable: true },
  'engine-incompatible': { status: 500, type: 'server_error', retryable: false },
  'protocol-violation': { status: 400, type: 'invalid_request_error', retryable: false },
  'frame-too-large': { status: 413, type: 'invalid_request_error', retryable: false },
  'not-a-member': { status: 403, type: 'permission_error', retryable: false },
  'deadline-exceeded': { status: 504, type: 'server_error', retryable: true },
  aborted: { status: 499, type: 'invalid_request_error', retryable: true },
  'already-running': { status: 409, type: 'invalid_request_error', retryable: false },
  'not-running': { status: 503, type: 'server_error', retryable: true },
  'disk-failed': { status: 507, type: 'server_error', retryable: true },
  internal: { status: 500, type: 'server_error', retryable: true },
  /** What a URL or a command names is not there, and asking again does not help. For models: `model-not-found`. */
  'not-found': { status: 404, type: 'invalid_request_error', retryable: false },
  /** A member that may not do this: another role is needed. Whoever is no member at all gets `not-a-member`. */
  'not-permitted': { status: 403, type: 'permission_error', retryable: false },
} as const);

export type ErrorCode = keyof typeof errorCodes;

/** Whether a string from outside is a code of ours. */
export function isErrorCode(value: string): value is ErrorCode {
  return Object.hasOwn(errorCodes, value);
}
