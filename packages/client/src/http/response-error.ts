import { asSkeinError, isErrorCode, SkeinError, type ErrorCode } from '@skein/protocol';
import { z } from 'zod';

import { readText } from './read-text.ts';

const errorBodySchema = z.object({
  error: z.object({
    message: z.string(),
    code: z.string().nullish(),
    deliveredTokens: z.number().int().nonnegative().optional().catch(undefined),
  }),
});

/**
 * Returns the error that a JSON body or event carries; undefined when it carries none. Unknown codes become `fallback`,
 * default `internal`. Its details hold the `deliveredTokens` that came before it, where it tells.
 */
export function errorFromBody(body: unknown, fallback: ErrorCode = 'internal'): SkeinError | undefined {
  const result = errorBodySchema.safeParse(body);
  if (!result.success) return undefined;
  const { message, deliveredTokens } = result.data.error;
  // In OpenAI's API codes have underscores.
  const code = result.data.error.code?.replaceAll('_', '-') ?? '';
  const details = deliveredTokens === undefined ? {} : { deliveredTokens };
  return new SkeinError(isErrorCode(code) ? code : fallback, message, { details });
}

/** Adds to the error that ends an answer how many of its tokens were delivered, where some were and it does not say so. */
export function withDelivered(thrown: unknown, tokens: number): SkeinError {
  const error = asSkeinError(thrown);
  if (tokens === 0 || error.details['deliveredTokens'] !== undefined) return error;
  const details = { ...error.details, deliveredTokens: tokens };
  return new SkeinError(error.code, error.message, { cause: thrown, details });
}

/**
 * Reads the body of a response with a failure status, and returns the error that it stands for. Its details hold the
 * `retryAfterSeconds` that a busy server names.
 */
export async function errorFromResponse(response: Response): Promise<SkeinError> {
  const fallback = codeOfStatus(response.status);
  const text = await readText(response).catch(() => '');
  const { code, message } = errorFromBody(parseJson(text), fallback) ?? {
    code: fallback,
    message: `${response.url || 'the server'} answered ${response.status}; is it a Skein coordinator?`,
  };
  // Proxies send dates, too; Skein sends seconds.
  const seconds = /^\d{1,6}$/.exec(response.headers.get('retry-after') ?? '')?.[0];
  return new SkeinError(
    code,
    message,
    seconds === undefined ? {} : { details: { retryAfterSeconds: Number(seconds) } },
  );
}

/**
 * Returns the error for a failed read of an answer: an abort or timeout keeps its code, all else becomes `peer-lost`
 * with the fix.
 */
export function explainLoss(error: unknown): SkeinError {
  const known = asSkeinError(error);
  if (known.code !== 'internal') return known;
  return new SkeinError(
    'peer-lost',
    'the coordinator went away in the middle of its answer; see that `skein up` runs there, and ask again',
    { cause: error, details: brokenConnection },
  );
}

const brokenConnection = { connection: 'broken' };

/** Tells whether a coordinator is gone, as its connection shows or it said itself: not what became of a replica. */
export function isCoordinatorGone(error: unknown): boolean {
  const { code, details } = asSkeinError(error);
  return code === 'not-running' || details?.['connection'] === brokenConnection.connection;
}

/** Returns the code for a status without a code of ours, as proxies and foreign servers send. */
function codeOfStatus(status: number): ErrorCode {
  if (status === 429) return 'overloaded';
  if (status === 401 || status === 403) return 'not-a-member';
  return status >= 500 ? 'internal' : 'invalid-request';
}

/** Parses JSON; undefined for text that is not JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
