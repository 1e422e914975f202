import { asSkeinError, errorCodes, toWireError } from '@skein/protocol';

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

/** Seconds after which a client that was refused for load may try again. */
const retryAfterSeconds = 1;

/** The public form of any error. What is not ours becomes `internal`, without its text. */
export function errorBody(thrown: unknown): ErrorBody {
  const { message, type, code, details } = publicError(thrown);
  const param = details?.['param'];
  return {
    error: { message, type, param: typeof param === 'string' ? param : null, code: code.replaceAll('-', '_') },
  };
}

/** The HTTP answer for an error that came before the first byte of another answer. */
export function errorResponse(thrown: unknown): Response {
  const { code, status } = publicError(thrown);
  const headers: Record<string, string> = code === 'overloaded' ? { 'retry-after': String(retryAfterSeconds) } : {};
  return Response.json(errorBody(thrown), { status, headers });
}

function publicError(thrown: unknown) {
  const error = asSkeinError(thrown);
  // Aborts and timeouts get a code and a text of ours; any other foreign error keeps its text, which stays inside.
  const wire = toWireError(error.code === 'internal' ? thrown : error);
  const { status, type } = errorCodes[error.code];
  return { ...wire, code: error.code, status, type };
}
