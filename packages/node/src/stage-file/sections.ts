import {
  invariant,
  SkeinError,
  type Block,
  type MetadataSection,
  type ModelManifest,
  type TensorSection,
} from '@skein/protocol';

import { tensorBytes, tensorTypeNumbers, type TensorToWrite } from '../gguf/index.ts';

/**
 * The kind of a stage file. `stage`: layers to run. `front`: the lead's needs beside its stage, whatever the block,
 * namely all metadata with the tokenizer, and the token rows; llama.cpp loads it `vocab_only`, and the engine reads
 * token rows from the file.
 */
export type StageFileKind = 'stage' | 'front';

/** The part of the model in a stage file, which determines its contents beside its layers. */
export type StagePart = 'front' | 'whole' | 'inner' | 'tail';

/**
 * A tensor of a stage file. One without a section is a placeholder: zeros that llama.cpp demands but never computes
 * with.
 */
export interface StageTensor extends TensorToWrite {
  readonly bytes: number;
  readonly section?: TensorSection;
}

/** The contents of a stage file. */
export interface StageFilePlan {
  readonly part: StagePart;
  readonly block: Block;
  /** The architecture's own keys. They are small and read first, as a stage needs some of them rewritten. */
  readonly rewritable: readonly MetadataSection[];
  /** Keys that are copied as they are, the tokenizer's among them. */
  readonly copied: readonly MetadataSection[];
  /** Tensors in file order. */
  readonly tensors: readonly StageTensor[];
}

/** Longest entry of a rewritable key, in bytes: one value per layer fits many times. */
const maximumRewritableBytes = 64 * 1024;

/**
 * Chooses the sections of a stage file.
 * - `inner` (every stage but the tail): its layers, no tokenizer, and one-row placeholders for token rows and output
 *   matrix, so that un-embedding costs nothing;
 * - `tail`: its layers, tokenizer, output norm and output matrix; where that is a matrix of its own, the token rows are
 *   a placeholder of the smallest type, which llama.cpp maps but never touches;
 * - `whole`: everything as it is.
 *
 * Other global tensors (rope factors, output norm) are small, and every stage gets them.
 *
 * @throws SkeinError `split-unsupported` when the block is not a cut that the manifest allows, `model-invalid` when the
 * manifest contradicts itself
 */
export function planStageFile(manifest: ModelManifest, block: Block, kind: StageFileKind): StageFilePlan {
  if (kind === 'stage') assertBlock(manifest, block);
  const part = partOf(manifest, block, kind);
  const metadata = manifest.sections.filter((section) => section.kind === 'metadata');
  const kept = part === 'inner' ? metadata.filter(({ name }) => !name.startsWith('tokenizer.')) : metadata;
  const prefix = `${manifest.shape.architecture}.`;
  const isRewritable = ({ name }: MetadataSection) =>
    name.startsWith(prefix) || name === 'general.architecture' || name === 'general.alignment';
  const plan = {
    part,
    block,
    rewritable: kept.filter(isRewritable),
    copied: kept.filter((section) => !isRewritable(section)),
    tensors: planTensors(manifest, block, part),
  };
  const tooLong = plan.rewritable.find(({ bytes }) => bytes > maximumRewritableBytes);
  if (tooLong !== undefined) throw invalid(`its key ${tooLong.name} is ${tooLong.bytes} bytes long`);
  return plan;
}

/** Lists all sections of a stage file in the order in which they are fetched. */
export function sectionsOf(plan: StageFilePlan): readonly (MetadataSection | TensorSection)[] {
  return [...plan.rewritable, ...plan.copied, ...plan.tensors.flatMap(({ section }) => section ?? [])];
}

function partOf({ shape }: ModelManifest, { from, to }: Block, kind: StageFileKind): StagePart {
  if (kind === 'front') return 'front';
  if (to < shape.layers) return 'inner';
  return from === 0 ? 'whole' : 'tail';
}

function planTensors({ sections, shape }: ModelManifest, block: Block, part: StagePart): StageTensor[] {
  const tensors = sections.filter((section) => section.kind === 'tensor');
  for (const section of tensors) {
    if (tensorBytes(section.type, section.shape) !== section.bytes)
      throw invalid(`the size of ${section.name} is not its shape's`);
  }
  const hasOutput = tensors.some(({ name }) => name === 'output.weight');
  const { hiddenSize, vocabularySize } = shape;
  return tensors.flatMap((section): StageTensor[] => {
    const { name } = section;
    if (part === 'whole') return [copy(section, name)];
    if (part === 'front') return name === 'token_embd.weight' ? [copy(section, name)] : [];
    const layer = /^blk\.(\d+)\.(.+)$/.exec(name);
    if (layer !== null) {
      const index = Number(layer[1]);
      return index >= block.from && index < block.to ? [copy(section, `blk.${index - block.from}.${layer[2]}`)] : [];
    }
    if (part === 'inner') {
      if (name === 'token_embd.weight' || name === 'output.weight') {
        return [placeholder(name, tensorTypeNumbers.f32, [hiddenSize, 1])];
      }
      // A bias or a scale of the output matrix would not fit its one row.
      return name.startsWith('output.') ? [] : [copy(section, name)];
    }
    if (name === 'token_embd.weight' && hasOutput) {
      return [placeholder(name, smallestType(hiddenSize), [hiddenSize, vocabularySize])];
    }
    return [copy(section, name)];
  });
}

function copy(section: TensorSection, name: string): StageTensor {
  return { name, type: section.type, shape: section.shape, bytes: section.bytes, section };
}

function placeholder(name: string, type: number, shape: readonly number[]): StageTensor {
  return { name, type, shape, bytes: invariant(tensorBytes(type, shape), 'a placeholder has a type of known size') };
}

/** Returns the type with the fewest bits per weight among those that get_rows supports and whose blocks divide the row. */
function smallestType(rowElements: number): number {
  if (rowElements % 128 === 0) return tensorTypeNumbers.q1_0;
  if (rowElements % 64 === 0) return tensorTypeNumbers.q2_0;
  return rowElements % 32 === 0 ? tensorTypeNumbers.q4_0 : tensorTypeNumbers.f16;
}

function assertBlock({ shape, name }: ModelManifest, { from, to }: Block): void {
  const { layers, split } = shape;
  if (!Number.isInteger(from) || !Number.isInteger(to) || from < 0 || from >= to || to > layers) {
    throw new SkeinError('split-unsupported', `layers ${from} to ${to} are no block of a model with ${layers} layers`);
  }
  if (from === 0 && to === layers) return;
  if (!split.allowed)
    throw new SkeinError('split-unsupported', `${name} cannot be split: ${split.reason}; run it on one machine`);
  const cuts = [from, to].filter((cut) => cut !== layers);
  if (cuts.every((cut) => cut % split.multiple === 0)) return;
  throw new SkeinError(
    'split-unsupported',
    `${name} can be cut at multiples of ${split.multiple} layers only, not at ${cuts.join(' and ')}`,
  );
}

function invalid(reason: string): SkeinError {
  return new SkeinError('model-invalid', `the model's manifest contradicts itself: ${reason}; pull the model again`);
}
