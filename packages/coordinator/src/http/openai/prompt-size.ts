import { formatBytes, limits, SkeinError, type Prompt } from '@skein/protocol';

/** How long a prompt is: characters, of all messages together, or tokens where it came as such. */
export function promptSize(prompt: Prompt): number {
  switch (prompt.type) {
    case 'chat':
      return prompt.messages.reduce((sum, { content }) => sum + content.length, 0);
    case 'text':
      return prompt.text.length;
    case 'tokens':
      return prompt.tokens.length;
  }
}

/** Longest text of a prompt, in bytes of UTF-8: what machines pass on to one another without a pause that others notice. */
const maxTextBytes = limits.maxPromptCharacters;

/** Throws `request-too-large` for a prompt of more text than there may be. */
export function assertMayBeSent(prompt: Prompt): void {
  if (prompt.type === 'tokens') return;
  const texts = prompt.type === 'chat' ? prompt.messages.map(({ content }) => content) : [prompt.text];
  const bytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  if (bytes <= maxTextBytes) return;
  throw new SkeinError(
    'request-too-large',
    `the prompt has ${bytes} bytes of text, more than ${formatBytes(maxTextBytes)}; send a shorter one`,
    { details: { param: prompt.type === 'chat' ? 'messages' : 'prompt' } },
  );
}

/**
 * Throws `context-length-exceeded` for token ids that are more than the largest context of a model's replicas holds: a
 * million of them need not be sent to find that out. How many tokens a text has, only the lead knows.
 *
 * @param contextTokens undefined when the model is not deployed
 */
export function assertFitsContext(prompt: Prompt, contextTokens: number | undefined): void {
  if (prompt.type !== 'tokens' || contextTokens === undefined || prompt.tokens.length < contextTokens) return;
  throw new SkeinError(
    'context-length-exceeded',
    `the prompt has ${prompt.tokens.length} tokens where the context holds ${contextTokens}; shorten it or deploy with a larger context`,
    { details: { param: 'prompt' } },
  );
}
