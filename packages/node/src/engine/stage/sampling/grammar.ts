import { SkeinError } from '@skein/protocol';

import type { Libllama, SamplerPointer, VocabPointer } from '../../libllama/libllama.ts';
import type { Candidates } from './candidates.ts';

/** llama.cpp reads groups and chains of rules recursively: bounds that keep its stack from overflowing. */
const deepestNesting = 64;
const mostRules = 4096;

/**
 * Makes llama.cpp's sampler for a grammar. It is a sampler of its own, outside any chain: it throws C++ exceptions, which
 * end the process, for tokens that it has not been asked about before.
 *
 * @throws SkeinError `invalid-request` for a grammar that does not parse
 */
export function openGrammar(library: Libllama, vocab: VocabPointer, text: string): SamplerPointer {
  assertBounds(text);
  const grammar = library.samplerGrammar(vocab, text, 'root');
  if (grammar !== null) return grammar;
  throw new SkeinError(
    'invalid-request',
    'the grammar does not parse; it has to be GBNF without left recursion, and to have a rule `root`',
    { details: { param: 'grammar' } },
  );
}

/** Whether a grammar derives a text that goes on with this token. */
export function allows(grammar: SamplerPointer, token: number, candidates: Candidates): boolean {
  candidates.fillWith(token);
  candidates.apply(grammar);
  return candidates.isPossible;
}

function assertBounds(text: string): void {
  let depth = 0;
  let deepest = 0;
  let isQuoted = false;
  for (let index = 0; index < text.length; index += 1) {
    const character = text[index];
    if (character === '\\') index += 1;
    else if (character === '"') isQuoted = !isQuoted;
    else if (!isQuoted && character === '(') deepest = Math.max(deepest, (depth += 1));
    else if (!isQuoted && character === ')') depth -= 1;
  }
  const rules = text.split('::=').length - 1;
  if (deepest <= deepestNesting && rules <= mostRules && !text.includes('\0')) return;
  throw new SkeinError(
    'invalid-request',
    `the grammar is too large: at most ${mostRules} rules, and groups ${deepestNesting} deep`,
    { details: { param: 'grammar' } },
  );
}
