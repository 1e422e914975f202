import type { Sampling } from '@skein/protocol';

/** Tells whether the choice of the next token depends on the tokens before it other than through the model. */
export function remembersHistory({ penalties, dry, grammar }: Sampling): boolean {
  return penalties !== undefined || dry !== undefined || grammar !== undefined;
}
