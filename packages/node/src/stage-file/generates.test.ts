import { describe, expect, it } from 'vitest';

import type { Value } from '../gguf/index.ts';
import { whyItDoesNotGenerate } from './generates.ts';

function why(architecture: string, values: Record<string, Value> = {}): string | undefined {
  return whyItDoesNotGenerate(
    new Map<string, Value>([
      ['general.architecture', architecture],
      ...Object.entries(values).map(([key, value]): [string, Value] => [`${architecture}.${key}`, value]),
    ]),
  );
}

describe('a model that generates', () => {
  it.each([
    ['llama', {}],
    ['qwen3', { pooling_type: 0, 'attention.causal': true }],
    ['mamba', {}],
    ['rwkv7', {}],
    ['gemma3', { 'attention.causal': true }],
    ['an-architecture-of-tomorrow', {}],
  ])('%s %o', (architecture, values) => {
    expect(why(architecture, values)).toBeUndefined();
  });
});

describe('a model that does not', () => {
  it.each([
    ['bert', {}, /embeddings/],
    ['nomic-bert-moe', {}, /embeddings/],
    ['jina-bert-v2', {}, /embeddings/],
    ['modern-bert', {}, /embeddings/],
    ['gemma-embedding', {}, /embeddings/],
    ['t5encoder', {}, /embeddings/],
    // As a decoder that was trained to embed, with the last token's hidden state.
    ['qwen3', { pooling_type: 3 }, /embeddings/],
    ['qwen3', { pooling_type: 4 }, /ranks documents/],
    ['llama', { 'attention.causal': false }, /not causal/],
    ['t5', {}, /encoder/],
    ['llada', {}, /diffusion/],
    ['eagle3', {}, /another model/],
    ['clip', {}, /images/],
    ['wavtokenizer-dec', {}, /speech/],
  ])('%s %o', (architecture, values, reason) => {
    expect(why(architecture, values)).toMatch(reason);
    expect(why(architecture, values)).toMatch(/^can't generate text: /);
  });
});
