import { createHash } from 'node:crypto';
import { buffer } from 'node:stream/consumers';

import { invariant, isSkeinError, limits, SkeinError } from '@skein/protocol';

import {
  maxHeadBytes,
  planMerge,
  readGgufHead,
  type GgufHead,
  type MergedRange,
  type MergePlan,
} from '../gguf/index.ts';
import type { ContentCheck } from '../stage-file/index.ts';
import { exactly } from './exactly.ts';
import type { ModelSource, OfferedFile, ReadOptions } from './model-source.ts';

/** The longest padding: as long as the greatest alignment that the reader accepts. */
const zeros = new Uint8Array(64 * 1024);
/** Parts that are asked for at the same time. */
const concurrentParts = 8;

/**
 * Makes a source of the one GGUF from which parts were cut. Their heads are read first, which lays the merged file out;
 * then their tensors come one part after another, from any byte of the merged file on. No part is ever on the disk.
 * Parts whose hash is known are checked against it.
 *
 * `open` throws SkeinError `model-invalid` when they are not the parts of one model; the message names the part.
 *
 * @param parts sources of all parts, in order
 */
export function partsSource(parts: readonly ModelSource[]): ModelSource {
  const first = invariant(parts[0], 'a model has a part');
  return {
    label: first.label,
    transfer: first.transfer,
    async open(options): Promise<OfferedFile> {
      const offers: OfferedFile[] = [];
      for (let index = 0; index < parts.length; index += concurrentParts) {
        const some = parts.slice(index, index + concurrentParts);
        const open = (part: ModelSource, at: number) => ofPart(index + at, parts.length, () => part.open(options));
        offers.push(...(await Promise.all(some.map(open))));
      }
      const heads = await readHeads(offers, options);
      const plan = planMerge(heads);
      return {
        // The slash keeps it apart from names that people give.
        identity: `parts/${digestOf(offers.map(({ identity }) => identity))}`,
        bytes: plan.bytes,
        checks: offers.flatMap(({ sha256 }, part) => (sha256 === undefined ? [] : checkOf(part, sha256, plan, heads))),
        scratchBytes: 0,
        read: (readOptions) => readMerged(plan, offers, readOptions),
      };
    },
  };
}

async function readHeads(
  offers: readonly OfferedFile[],
  { signal }: { readonly signal: AbortSignal },
): Promise<GgufHead[]> {
  const heads: GgufHead[] = [];
  // All heads are kept in memory together.
  let maxBytes = maxHeadBytes;
  let tensors = 0;
  for (const [index, offer] of offers.entries()) {
    const head = await ofPart(index, offers.length, () =>
      readGgufHead({
        fileBytes: offer.bytes,
        maxBytes,
        readRange: ({ offset, end }) =>
          buffer(exactly(offer.read({ offset, end, scratchDirectory: '', signal, onArrived: () => {} }), end - offset)),
      }),
    );
    heads.push(head);
    maxBytes -= head.content.byteLength;
    tensors += head.layout.tensors.size;
    if (tensors > limits.maxSections) {
      throw new SkeinError(
        'model-invalid',
        `the parts have more than ${limits.maxSections} tensors; choose another model`,
      );
    }
  }
  return heads;
}

/** Runs a step for one part, whose errors then say which part it was. */
async function ofPart<Result>(index: number, count: number, step: () => Promise<Result>): Promise<Result> {
  try {
    return await step();
  } catch (error) {
    if (!isSkeinError(error)) throw error;
    const { code, message, details } = error;
    throw new SkeinError(code, `part ${index + 1} of ${count}: ${message}`, { details, cause: error });
  }
}

/** Describes a part by what is in the merged file, and by its own head and padding, which are not. */
function checkOf(part: number, sha256: string, plan: MergePlan, heads: readonly GgufHead[]): ContentCheck {
  const { content: head, fileBytes } = invariant(heads[part], 'each part has a head');
  const content: ContentCheck['content'][number][] = [head];
  let offset = head.byteLength;
  for (const range of plan.ranges.filter((each) => each.part === part)) {
    content.push(padding(range.offset - offset), { offset: range.mergedOffset, bytes: range.bytes });
    offset = range.offset + range.bytes;
  }
  content.push(padding(fileBytes - offset));
  return { label: `part ${part + 1} of ${heads.length}`, sha256, content };
}

/** Returns the zeros between two tensors of a part. They share one memory: a hostile model has them 65,536 times. */
function padding(bytes: number): Uint8Array {
  return zeros.subarray(0, bytes);
}

async function* readMerged(
  plan: MergePlan,
  offers: readonly OfferedFile[],
  options: ReadOptions,
): AsyncGenerator<Uint8Array> {
  const { offset, end } = options;
  let position = offset;
  if (position < plan.head.byteLength) {
    yield plan.head.subarray(position, end);
    position = Math.min(end, plan.head.byteLength);
  }
  for (const range of [...plan.ranges, endOf(plan)]) {
    if (position >= end) return;
    const paddingEnd = Math.min(end, range.mergedOffset);
    if (paddingEnd > position) {
      yield new Uint8Array(paddingEnd - position);
      position = paddingEnd;
    }
    const rangeEnd = Math.min(end, range.mergedOffset + range.bytes);
    if (rangeEnd <= position) continue;
    const offer = invariant(offers[range.part], 'each part is offered');
    const shift = range.offset - range.mergedOffset;
    const partOptions = {
      ...options,
      offset: position + shift,
      end: rangeEnd + shift,
      onArrived: (bytes: number) => options.onArrived(bytes - shift),
    };
    yield* exactly(offer.read(partOptions), rangeEnd - position);
    position = rangeEnd;
  }
}

/** Makes an empty range at the end of the merged file, so that the padding before it is written like any other. */
function endOf({ bytes }: MergePlan): MergedRange {
  return { part: 0, offset: 0, bytes: 0, mergedOffset: bytes };
}

function digestOf(texts: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(texts)).digest('hex');
}
