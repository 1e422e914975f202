import { SkeinError } from '@skein/protocol';

/** Longest answer in one piece, in bytes: the status of a mesh with hundreds of members fits. */
const maxAnswerBytes = 32 * 1024 * 1024;

/**
 * Reads the text of an answer.
 *
 * @throws SkeinError `protocol-violation` for one that is longer than any can be; the stream's own error when the connection
 * breaks
 */
export async function readText({ body }: Response): Promise<string> {
  const decoder = new TextDecoder();
  let [text, bytes] = ['', 0];
  for await (const chunk of body ?? []) {
    bytes += chunk.byteLength;
    if (bytes > maxAnswerBytes) throw new SkeinError('protocol-violation', 'the answer is longer than any can be');
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}
