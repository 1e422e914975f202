/**
 * The place or time at which the same request may succeed. `elsewhere`: on another replica at once, or later. `later`:
 * after a pause, and not sooner on another replica. `never`: somebody has to change the request or attend to a machine.
 */
export type Retry = 'elsewhere' | 'later' | 'never';

interface ErrorTraits {
  readonly retry: Retry;
  /** Whether a deployment that asks for less, such as a smaller context, may succeed where this one failed. */
  readonly withLess?: true;
}

/** The codes of errors that cross a boundary (wire, API, exit code), with their traits. Append only. */
export const errorCodes = Object.freeze({
  'invalid-request': { retry: 'never' },
  'context-length-exceeded': { retry: 'never' },
  'model-not-found': { retry: 'never' },
  'model-invalid': { retry: 'never' },
  'model-unreachable': { retry: 'later' },
  'hash-mismatch': { retry: 'never' },
  'split-unsupported': { retry: 'never' },
  'does-not-fit': { retry: 'never', withLess: true },
  'no-peers': { retry: 'later', withLess: true },
  'not-deployed': { retry: 'elsewhere' },
  overloaded: { retry: 'elsewhere' },
  'stage-lost': { retry: 'elsewhere' },
  'peer-lost': { retry: 'elsewhere' },
  'engine-failed': { retry: 'later' },
  'engine-incompatible': { retry: 'never' },
  'protocol-violation': { retry: 'never' },
  'frame-too-large': { retry: 'never' },
  'not-a-member': { retry: 'never' },
  'deadline-exceeded': { retry: 'later' },
  aborted: { retry: 'never' },
  'already-running': { retry: 'never' },
  'not-running': { retry: 'elsewhere' },
  'disk-failed': { retry: 'later' },
  internal: { retry: 'never' },
  /** The target of a URL or a command does not exist, and asking again does not help. For models: `model-not-found`. */
  'not-found': { retry: 'never' },
  /** A member lacks the role that this takes. A stranger gets `not-a-member`. */
  'not-permitted': { retry: 'never' },
  /** Two engines died while they computed one request, which may be the cause: it is not tried a third time. */
  'request-kills-engines': { retry: 'never' },
  /** An HTTP request has more bytes, or a longer prompt, than any may have. */
  'request-too-large': { retry: 'never' },
  /** The body of an HTTP request is compressed. */
  'unsupported-encoding': { retry: 'never' },
  /** A lead gives an answer back, for another one to continue. Nothing has failed. */
  'handed-over': { retry: 'elsewhere' },
  /** A command to place came from a coordinator that another one has replaced. `details`: `epoch` and `holder`. */
  'stale-lease': { retry: 'later' },
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
