import { enumerators } from '../engine/libllama/c-headers.ts';
import { architectureOf, type MetadataView } from './metadata-view.ts';

const embeds = 'it makes embeddings';

/**
 * Architectures of llama.cpp that do not continue text, each with the use of its models. `llama_model::create_memory`
 * names those without a KV cache and `llama_model_has_encoder` the encoders, in llama-model.cpp of the bundled version.
 */
const others: ReadonlyMap<string, string> = new Map([
  ...[
    'bert',
    'eurobert',
    'gemma-embedding',
    'jina-bert-v2',
    'jina-bert-v3',
    'llama-embed',
    'modern-bert',
    'neo-bert',
    'nomic-bert',
    'nomic-bert-moe',
    't5encoder',
  ].map((name) => [name, embeds] as const),
  // Diffusion: they fill in masked tokens anywhere, with attention to both sides.
  ...['dream', 'llada', 'llada-moe', 'rnd1'].map(
    (name) => [name, 'it is a diffusion model, which writes no token after another'] as const,
  ),
  // Their decoder attends to what an encoder made of the prompt, which Skein does not run.
  ['t5', 'it has an encoder, which Skein does not run'],
  // Draft models: they read the hidden states of another model.
  ...['dflash', 'eagle3', 'gemma4-assistant'].map(
    (name) => [name, 'it drafts tokens for another model, whose hidden states it needs'] as const,
  ),
  ['clip', 'it turns images into embeddings for another model'],
  ...['pockettts', 'qwen3tts', 'wavtokenizer-dec'].map((name) => [name, 'it makes speech'] as const),
]);

/** Suffixes of the keys that {@link whyItDoesNotGenerate} reads, behind the architecture's name. */
export const generationKeys = ['pooling_type', 'attention.causal'] as const;

/**
 * Returns the reason why a model can't generate text, in words that follow its name; undefined when it can. llama.cpp
 * loads an embedding model or a reranker like any other, and gives meaningless logits for its hidden states. Many of
 * them have the architecture of a model that generates, and are known by how they pool the hidden states of all tokens.
 */
export function whyItDoesNotGenerate(metadata: MetadataView): string | undefined {
  const architecture = architectureOf(metadata);
  const [poolingType, isCausal] = generationKeys.map((suffix) => metadata.get(`${architecture}.${suffix}`));
  const reason =
    others.get(architecture) ??
    (poolingType === enumerators.LLAMA_POOLING_TYPE_RANK ? 'it ranks documents' : undefined) ??
    (typeof poolingType === 'number' && poolingType > enumerators.LLAMA_POOLING_TYPE_NONE ? embeds : undefined) ??
    (isCausal === false ? 'its attention is not causal, as in models that make embeddings' : undefined);
  return reason === undefined ? undefined : `can't generate text: ${reason}`;
}
