import {
  invariant,
  layerStateBytes,
  microBatchRows,
  type Block,
  type KvCacheOptions,
  type ModelManifest,
  type ModelShape,
} from '@skein/protocol';

/** Allowance for the engine process itself: runtime, llama.cpp and its smaller buffers. Not measured yet. */
const engineBytes = 96 * 1024 * 1024;
/**
 * Rows of activations alive at once in a layer's graph, in multiples of the hidden size: the residual, the norm, queries,
 * keys and values, and the two feed-forward intermediates, which are three to four times as wide as the hidden state.
 */
const activationRows = 16;
const floatBytes = 4;
/** Bound on the rows of a micro-batch that a token is drawn after: one of each sequence, and the draft tokens. */
const mostLogitRows = 128;

/**
 * Returns the bytes of memory that a peer needs for a block of a model.
 *
 * @param rows of the largest micro-batch. Default: those of a CPU
 */
export type StageMemory = (block: Block, rows?: number) => number;

/**
 * Makes the memory formula of one model with one KV cache. A stage takes
 *
 *     weights   its layers + the small global tensors + token embeddings (lead) + output matrix (tail)
 *     KV cache  kvBytesPerTokenPerLayer * layers of the block * (contextTokens + swapTokens) * size of the types,
 *               where windowed layers have a window for each sequence instead of contextTokens ({@link layerStateBytes})
 *     compute   4 * (batch * (16 * hiddenSize + contextTokens) + min(batch, 128) * vocabularySize (tail)) + 96 MiB
 *
 * where swapTokens are those of finished sequences in main memory ({@link layerStateBytes}) and batch = min(contextTokens,
 * rows of a micro-batch): activations, attention mask and logits are f32, and no more than 128 rows have logits. The
 * estimate leans to the high side: memory that runs out kills an engine, memory left over costs nothing.
 */
export function stageMemory(manifest: ModelManifest, options: KvCacheOptions): StageMemory {
  const bytes = partsOf(manifest);
  const { shape } = manifest;
  const { contextTokens } = options;
  const stateBytesOf = blockSums(layerStateBytes(shape, options));
  const layerBytesOf = blockSums(bytes.layers);
  return (block, rows = microBatchRows.cpu) => {
    const { from, to } = block;
    const isLead = from === 0;
    const isTail = to === shape.layers;
    // A whole model with tied weights holds the one matrix once.
    const embeddingBytes = isLead && !(isTail && bytes.isTied) ? bytes.embedding : 0;
    const outputBytes = isTail ? bytes.output : 0;
    const layers = layerBytesOf(block);
    return (
      layers +
      bytes.shared +
      embeddingBytes +
      outputBytes +
      stateBytesOf(block) +
      computeBytes(shape, Math.min(contextTokens, rows), { contextTokens, isTail })
    );
  };
}

function computeBytes(
  shape: ModelShape,
  batch: number,
  { contextTokens, isTail }: { readonly contextTokens: number; readonly isTail: boolean },
): number {
  const rows = batch * (activationRows * shape.hiddenSize + contextTokens);
  const logits = isTail ? Math.min(batch, mostLogitRows) * shape.vocabularySize : 0;
  return (rows + logits) * floatBytes + engineBytes;
}

/** A model's tensors, added up by the stage that will hold them. */
interface ModelParts {
  /** Sums of the layers, in order. */
  readonly layers: readonly number[];
  /** Token embeddings: the lead looks token rows up in them. */
  readonly embedding: number;
  /** Output matrix of the tail; the token embeddings once more where the model ties the two. */
  readonly output: number;
  /** Small global tensors (norms, rope factors), which every stage gets. */
  readonly shared: number;
  /** Whether `output` is the token embeddings, which a model that is not split holds once. */
  readonly isTied: boolean;
}

/** Adds the bytes of tensors up by part. Leaves out metadata (a few megabytes at most). */
function partsOf({ shape, sections }: ModelManifest): ModelParts {
  const layers = Array.from({ length: shape.layers }, () => 0);
  let [embedding, output, shared] = [0, 0, 0];
  for (const section of sections) {
    if (section.kind !== 'tensor') continue;
    const amount = section.bytes;
    const layer = Number(/^blk\.(\d+)\./.exec(section.name)?.[1] ?? Number.NaN);
    const sum = layers[layer];
    if (sum !== undefined) layers[layer] = sum + amount;
    else if (section.name.startsWith('token_embd.')) embedding += amount;
    else if (section.name.startsWith('output.')) output += amount;
    else shared += amount;
  }
  const isTied = output === 0;
  return { layers, embedding, output: isTied ? embedding : output, shared, isTied };
}

/** Returns a function for the sum of the values of a block, which may be empty. */
export function blockSums(values: readonly number[]): (block: Block) => number {
  const sums = [0];
  let sum = 0;
  for (const value of values) sums.push((sum += value));
  const upTo = (index: number): number => invariant(sums[index], 'a block lies among the values');
  return ({ from, to }) => upTo(to) - upTo(from);
}
