/** Layers of a stage: from the first up to, not including, the last number. */
export interface StageBlock {
  readonly from: number;
  readonly to: number;
}

/**
 * Returns the bytes of the tensors that a stage computes with: its layers, and on the tail the output matrix, which is
 * the token embeddings where the model ties the two. A whole model has all.
 */
export function stageWeightBytes(
  { tensorBytes, layers }: { readonly tensorBytes: ReadonlyMap<string, number>; readonly layers: number },
  { from, to }: StageBlock,
): number {
  const isTail = to === layers;
  const isWhole = isTail && from === 0;
  const isTied = !tensorBytes.has('output.weight');
  let bytes = 0;
  for (const [name, size] of tensorBytes) {
    const layer = /^blk\.(\d+)\./.exec(name)?.[1];
    if (layer !== undefined) bytes += Number(layer) >= from && Number(layer) < to ? size : 0;
    else if (name === 'token_embd.weight') bytes += isWhole || (isTail && isTied) ? size : 0;
    else bytes += isTail ? size : 0;
  }
  return bytes;
}
