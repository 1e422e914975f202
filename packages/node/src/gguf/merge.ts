import { invariant, limits, SkeinError } from '@skein/protocol';

import type { GgufHead } from './head.ts';
import type { TensorEntry } from './reader.ts';
import { planGguf, type EntryToWrite } from './writer.ts';

/** Consecutive bytes of a part, with their place in the merged file. */
export interface MergedRange {
  /** Index of the part. */
  readonly part: number;
  /** Bytes from the start of the part. */
  readonly offset: number;
  readonly bytes: number;
  /** Bytes from the start of the merged file. */
  readonly mergedOffset: number;
}

/** The contents of a merged file. Bytes that are neither in the head nor in a range are padding: zeros. */
export interface MergePlan {
  /** The start of the merged file. */
  readonly head: Uint8Array;
  /** Tensors, in the order of the file. */
  readonly ranges: readonly MergedRange[];
  /** Size of the merged file. */
  readonly bytes: number;
}

/** Keys by which llama.cpp numbers the parts of a model. The whole model has none of them. */
const keys = { number: 'split.no', count: 'split.count', tensors: 'split.tensors.count' } as const;

/**
 * Lays out the one GGUF from which parts were cut: the first part's metadata without the keys of the cut, and all
 * tensors in the order of the parts. The same parts always give the same bytes; parts cut from a GGUF of version 3 that
 * nobody padded otherwise give that file's.
 *
 * @param heads heads of all parts, in order
 * @throws SkeinError `model-invalid` when they are not all the parts of one model, in order; the message names the part
 */
export function planMerge(heads: readonly GgufHead[]): MergePlan {
  const { layout, content } = invariant(heads[0], 'a model has a part');
  for (const [index, head] of heads.entries()) assertPart(head, index, heads);
  const tensors = heads.flatMap((head, part) => [...head.layout.tensors.values()].map((tensor) => ({ part, tensor })));
  assertTensors(tensors, heads.length, numberIn(layout, keys.tensors));
  const cut: readonly string[] = Object.values(keys);
  const entries = [...layout.metadata.values()]
    .filter(({ name }) => !cut.includes(name))
    .map(({ offset, bytes }): EntryToWrite => ({ content: content.subarray(offset, offset + bytes) }));
  const plan = planGguf({ entries, tensors: tensors.map(({ tensor }) => tensor), alignment: layout.alignment });
  const ranges = tensors.map(({ part, tensor: { offset, bytes } }, index) => {
    return { part, offset, bytes, mergedOffset: invariant(plan.tensorOffsets[index], 'each tensor has an offset') };
  });
  const head = new Uint8Array(plan.tensorOffsets[0] ?? plan.bytes);
  for (const { offset, content } of plan.parts) head.set(content, offset);
  return { head, ranges: joinAdjacent(ranges), bytes: plan.bytes };
}

function assertPart({ layout, fileBytes }: GgufHead, index: number, heads: readonly GgufHead[]): void {
  const part = `part ${index + 1} of ${heads.length}`;
  const number = numberIn(layout, keys.number);
  const count = numberIn(layout, keys.count);
  if (number === undefined || count === undefined) {
    throw new SkeinError('model-invalid', `${part} is no part of a model: it has no ${keys.number}; get it again`);
  }
  if (number !== index || count !== heads.length) {
    const fix = 'get all parts from one place again';
    throw new SkeinError('model-invalid', `${part} says that it is part ${number + 1} of ${count}; ${fix}`);
  }
  const end = [...layout.tensors.values()].at(-1);
  const strayBytes = fileBytes - (end === undefined ? layout.dataOffset : end.offset + end.bytes);
  if (strayBytes < layout.alignment) return;
  throw new SkeinError('model-invalid', `${part} has ${strayBytes} bytes behind its tensors; get it again`);
}

function assertTensors(
  tensors: readonly { readonly part: number; readonly tensor: TensorEntry }[],
  parts: number,
  expected: number | undefined,
): void {
  if (tensors.length !== expected) {
    const found = `the parts have ${tensors.length} tensors together instead of ${expected}`;
    throw new SkeinError('model-invalid', `${found}: one is of another model; get all parts from one place again`);
  }
  if (expected > limits.maxSections) {
    throw new SkeinError(
      'model-invalid',
      `the model has ${expected} tensors, more than Skein takes; choose another one`,
    );
  }
  const seen = new Set<string>();
  for (const { part, tensor } of tensors) {
    if (seen.has(tensor.name)) {
      const what = `part ${part + 1} of ${parts} has the tensor "${tensor.name}", which an earlier one has, too`;
      throw new SkeinError('model-invalid', `${what}; get all parts from one place again`);
    }
    seen.add(tensor.name);
  }
}

function numberIn({ metadata }: GgufHead['layout'], key: string): number | undefined {
  const value = metadata.get(key)?.value;
  return typeof value === 'number' ? value : undefined;
}

/** Joins tensors that lie as far from each other in their part as in the merged file, with the padding between them. */
function joinAdjacent(ranges: readonly MergedRange[]): MergedRange[] {
  const joined: MergedRange[] = [];
  for (const range of ranges) {
    const last = joined.at(-1);
    const distance = last && range.offset - last.offset;
    if (last?.part === range.part && distance === range.mergedOffset - last.mergedOffset) {
      joined[joined.length - 1] = { ...last, bytes: distance + range.bytes };
    } else {
      joined.push(range);
    }
  }
  return joined;
}
