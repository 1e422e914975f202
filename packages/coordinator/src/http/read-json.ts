import { formatBytes, limits, SkeinError } from '@skein/protocol';

/** Longest request body: the longest prompt, with room for JSON's escapes. */
const maxBodyBytes = limits.maxPromptCharacters * 2;

/** Reads a request's JSON body. Throws `frame-too-large` before more than the limit is held, `invalid-request` for bad JSON. */
export async function readJson(request: Request): Promise<unknown> {
  if (Number(request.headers.get('content-length') ?? 0) > maxBodyBytes) throw tooLarge();
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let text = '';
  let receivedBytes = 0;
  try {
    for await (const chunk of request.body ?? []) {
      receivedBytes += chunk.byteLength;
      if (receivedBytes > maxBodyBytes) throw tooLarge();
      text += decoder.decode(chunk, { stream: true });
    }
    text += decoder.decode();
  } catch (error) {
    if (error instanceof TypeError) throw new SkeinError('invalid-request', 'the request body is not valid UTF-8');
    throw error;
  }
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    // The parser's own words quote the body, which holds a prompt: nothing of it may get into a log.
    const position = error instanceof Error ? /at position \d+/.exec(error.message)?.[0] : undefined;
    throw new SkeinError(
      'invalid-request',
      `the request body is not valid JSON${position === undefined ? '' : `, ${position}`}`,
    );
  }
}

function tooLarge(): SkeinError {
  return new SkeinError(
    'frame-too-large',
    `the request body is larger than ${formatBytes(maxBodyBytes)}; send a shorter prompt`,
  );
}
