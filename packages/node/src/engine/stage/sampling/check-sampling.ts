import { SkeinError, type Sampling } from '@skein/protocol';

import { checkGrammar, type CompiledGrammars } from './grammar/grammar.ts';

/**
 * Checks, when a request comes in, whether the tail can draw tokens with its settings.
 *
 * @throws SkeinError `invalid-request` for a grammar that can't be used, or biases of tokens that do not exist
 */
export function checkSampling(
  { grammar, logitBias = [] }: Sampling,
  { vocabularySize, grammars }: { readonly vocabularySize: number; readonly grammars: CompiledGrammars },
): void {
  const outside = logitBias.find(({ token }) => token >= vocabularySize);
  if (outside !== undefined) {
    throw new SkeinError(
      'invalid-request',
      `logit_bias names token ${outside.token}, outside the model's vocabulary of ${vocabularySize}`,
      { details: { param: 'logit_bias' } },
    );
  }
  if (grammar !== undefined) checkGrammar(grammar, grammars);
}
