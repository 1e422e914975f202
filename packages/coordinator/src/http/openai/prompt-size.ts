import type { Prompt } from '@skein/protocol';

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
