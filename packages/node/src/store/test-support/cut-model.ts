import { encodeEntry, memorySource, planGguf, readGgufLayout } from '../../gguf/index.ts';

/** Changes to the parts that {@link cutModel} makes, for tests of what is wrong with them. */
export interface CutOptions {
  readonly parts: number;
  /** Number of tensors that the parts say the model has. Default: the real one. */
  readonly tensorCount?: number;
  /** Whether the first part has the metadata alone. Default: tensors, too. */
  readonly isFirstEmpty?: boolean;
}

/** Cuts a GGUF into parts as llama.cpp's own tool does: all metadata in the first, the numbers of the cut in each. */
export async function cutModel(content: Uint8Array, options: CutOptions): Promise<Uint8Array[]> {
  const { metadata, tensors, alignment } = await readGgufLayout(memorySource(content));
  const all = [...tensors.values()];
  const skipped = options.isFirstEmpty === true ? 1 : 0;
  const perPart = Math.ceil(all.length / (options.parts - skipped));
  return Array.from({ length: options.parts }, (_, part) => {
    const some = all.slice(Math.max(0, (part - skipped) * perPart), Math.max(0, (part - skipped + 1) * perPart));
    const own = [...metadata.values()].map(({ offset, bytes }) => content.subarray(offset, offset + bytes));
    const entries = [
      ...(part === 0 ? own : []),
      encodeEntry('split.no', 'uint16', part),
      encodeEntry('split.count', 'uint16', options.parts),
      encodeEntry('split.tensors.count', 'int32', options.tensorCount ?? all.length),
    ];
    const plan = planGguf({ entries: entries.map((entry) => ({ content: entry })), tensors: some, alignment });
    const file = new Uint8Array(plan.bytes);
    for (const piece of plan.parts) file.set(piece.content, piece.offset);
    for (const [index, { offset, bytes }] of some.entries()) {
      file.set(content.subarray(offset, offset + bytes), plan.tensorOffsets[index]);
    }
    return file;
  });
}
