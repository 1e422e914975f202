import { asSkeinError, isErrorCode, SkeinError, type ErrorCode } from '@skein/protocol';
import { z } from 'zod';

const errorBodySchema = z.object({
  error: z.object({ message: z.string(), code: z.string().nullish() }),
});

/** The error that a JSON body or event carries; undefined when it carries none. Codes we don't know become `fallback`. */
export function errorFromBody(body: unknown, fallback: ErrorCode = 'internal'): SkeinError | undefined {
  const result = errorBodySchema.safeParse(body);
  if (!result.success) return undefined;
  const { message } = result.data.error;
  // In OpenAI's API codes have underscores.
  const code = result.data.error.code?.replaceAll('_', '-') ?? '';
  return new SkeinError(isErrorCode(code) ? code : fallback, message);
}

/** The error that a response with a failure status stands for. Reads its body. */
export async function errorFromResponse(response: Response): Promise<SkeinError> {
  const fallback = codeOfStatus(response.status);
  const text = await response.text().catch(() => '');
  return (
    errorFromBody(parseJson(text), fallback) ??
    new SkeinError(fallback, `${response.url || 'the server'} answered ${response.status}; is it a Skein coordinator?`)
  );
}

/** What reading an answer failed with: a connection that broke says so in words of its own; an abort keeps its code. */
export function explainLoss(error: unknown): SkeinError {
  const known = asSkeinError(error);
  if (known.code !== 'internal') return known;
  return new SkeinError(
    'peer-lost',
    'the coordinator went away in the middle of its answer; see that `skein up` runs there, and ask again',
    { cause: error },
  );
}

/** For what answers without a code of ours: proxies, and servers that are no coordinator. */
function codeOfStatus(status: number): ErrorCode {
  if (status === 429) return 'overloaded';
  if (status === 401 || status === 403) return 'not-a-member';
  return status >= 500 ? 'internal' : 'invalid-request';
}

/** Undefined for what is no JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
