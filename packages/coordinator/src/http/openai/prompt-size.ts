import { SkeinError, type Prompt } from '@skein/protocol';

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

/**
 * Throws `context-length-exceeded` for token ids that are more than the largest context of a model's replicas holds: a
 * million of them need not be sent to find that out. How many tokens a text has, only the lead knows.
 *
 * @param contextTokens undefined when the model is not deployed
 */
export function assertFitsContext(promptTokens: number, contextTokens: number | undefined): void {
  if (contextTokens === undefined || promptTokens < contextTokens) return;
  throw new SkeinError(
    'context-length-exceeded',
    `the prompt has ${promptTokens} tokens where the context holds ${contextTokens}; shorten it or deploy with a larger context`,
    { details: { param: 'prompt' } },
  );
}
