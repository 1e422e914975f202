import type { Sampling } from '@skein/protocol';

/** Whether what the next token may be depends on the tokens before it other than through the model. */
export function remembersHistory({ penalties, dry, grammar }: Sampling): boolean {
  return penalties !== undefined || dry !== undefined || grammar !== undefined;
}
