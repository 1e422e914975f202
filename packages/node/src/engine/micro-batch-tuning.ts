/** Sizes by which a lead composes micro-batches. */
export interface MicroBatchTuning {
  /** Largest micro-batch, in rows. */
  readonly batchTokens: number;
  /** Most prompt rows in a micro-batch: short enough for a prompt's chunks to fill the ring, long enough to compute well. */
  readonly chunkTokens: number;
  /**
   * Tiles for long prompts, where attention in tiles is faster and rounds otherwise; absent where it makes no
   * difference.
   */
  readonly tiles?: TileTuning | undefined;
  /** Most draft tokens in a micro-batch, all sequences together. */
  readonly draftTokens: number;
}

/** Sizes by which long prompts are read in tiles. */
export interface TileTuning {
  /** Rows of a micro-batch from which on attention is computed in tiles. More than `batchTokens`. */
  readonly rows: number;
  /** Fewest unread tokens of a prompt that are read in tiles. */
  readonly from: number;
}

/**
 * Most draft tokens that a lead puts into one micro-batch, and that a tail takes: it has room for their logits, each as
 * long as the vocabulary.
 */
export const draftTokens = 32;

/**
 * The tuning for a CPU. From 64 rows on llama.cpp's attention takes another way, in tiles, and rounds otherwise. Below,
 * a token's logits are the same bit for bit however its sequence was cut into chunks and whatever was computed beside
 * it, so short micro-batches make a sequence reproducible, with one thread or a quantized cache (decision 6). Long prompts go in tiles all the same: they
 * would take a quarter longer with 768 tokens, and a third with 1,000.
 */
const cpu: MicroBatchTuning = { batchTokens: 63, chunkTokens: 48, tiles: { rows: 64, from: 768 }, draftTokens };

/**
 * Returns the tuning for the lead of a model: that for a GPU when some of its own layers are on one. A GPU's attention is
 * the same however many rows there are, and the more the better, so its micro-batches are as large as the stages take.
 *
 * @param mostRows rows that every stage of the pipeline takes
 */
export function microBatchTuning(gpuLayers: number, mostRows: number): MicroBatchTuning {
  return gpuLayers > 0 ? { batchTokens: mostRows, chunkTokens: mostRows, draftTokens } : cpu;
}
