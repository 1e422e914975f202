import { SkeinError, type Sampling } from '@skein/protocol';

import type { Libllama, VocabPointer } from '../../libllama/libllama.ts';
import { checkGrammar } from './grammar/grammar.ts';

/**
 * Finds out, where the request comes in, whether the tail can draw tokens this way.
 *
 * @throws SkeinError `invalid-request` for a grammar that can't be used, or biases of tokens that do not exist
 */
export function checkSampling(library: Libllama, vocab: VocabPointer, { grammar, logitBias = [] }: Sampling): void {
  const vocabularySize = library.vocabSize(vocab);
  const outside = logitBias.find(({ token }) => token >= vocabularySize);
  if (outside !== undefined) {
    throw new SkeinError(
      'invalid-request',
      `logit_bias names token ${outside.token}, outside the model's vocabulary of ${vocabularySize}`,
      { details: { param: 'logit_bias' } },
    );
  }
  if (grammar !== undefined) checkGrammar(grammar);
}
