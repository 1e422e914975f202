import { mkdir, utimes } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';

import { statIfAny } from '@skein/mesh';
import { invariant, isSkeinError, SkeinError, type Block, type ModelManifest, type Section } from '@skein/protocol';

import { assertRoom, measureFreeBytes, onDisk, type MeasureFreeBytes } from '../disk/index.ts';
import { decodeMetadataEntry, openFileSource, planGguf, readGgufLayout } from '../gguf/index.ts';
import { PartialFile, removeStalePartialFiles } from './partial-file.ts';
import type { Progress } from './progress.ts';
import { rewriteMetadata, type EncodedEntry } from './rewrite-metadata.ts';
import type { SectionSource } from './section-source.ts';
import { planStageFile, sectionsOf, type StageFileKind, type StageFilePlan } from './sections.ts';
import { SharedJobs, type JobContext } from './shared-jobs.ts';
import { nameStageFile } from './stage-file-name.ts';
import { spotCheck } from './spot-check.ts';
import { trimStageFiles } from './trim.ts';
import { verifiedSections } from './verified-sections.ts';

const defaultAlignment = 32;
/** Default size of the cache: a machine that switches between models cuts and fetches nothing again. */
const defaultMaxDirectoryBytes = 64 * 1024 ** 3;
/** Room of a stage file beside its sections: header, padding, and the file system's own records. */
const roomMarginBytes = 16 * 1024 ** 2;

export interface StageFile {
  readonly path: string;
  /** Size of the file. Placeholders are holes, so it may take less room on the disk. */
  readonly bytes: number;
  /** Whether the file existed already. */
  readonly reused: boolean;
}

export interface StageFileRequest {
  readonly manifest: ModelManifest;
  readonly block: Block;
  readonly kind: StageFileKind;
  readonly source: SectionSource;
  /** Directory of the stage files; made when missing. */
  readonly directory: string;
  /**
   * Most room on the disk for all stage files in the directory, in bytes. A cut then removes those used longest ago,
   * except those used within the last hour. Default: 64 GiB.
   */
  readonly maxDirectoryBytes?: number | undefined;
  /** Measures the free room. Default: asks the file system. */
  readonly freeBytes?: MeasureFreeBytes | undefined;
  /** Receives the bytes of sections fetched so far. An error in it is shown as a warning. */
  readonly onProgress?: ((progress: Progress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Cuts in progress, one writer per file and process: the file system is the state that is shared here. */
const jobs = new SharedJobs<Progress, StageFile>();

/**
 * Makes sure that a stage file exists, and cuts it from its source where it does not. Each section is verified while it
 * is written, and the file appears under its name only when it is complete. One that exists is checked in random places,
 * and cut again where it is damaged. Concurrent calls for one file share the
 * work. The directory is a cache (see `maxDirectoryBytes`): open the file soon, and call this again before you open it
 * later.
 *
 * @throws SkeinError `split-unsupported` when the block is not a cut that the manifest allows; `model-invalid` when the
 * manifest contradicts itself; `hash-mismatch` when a section is not what the manifest says; `model-unreachable` when
 * the source fails; `disk-failed`, with the bytes needed where there is no room
 */
export async function ensureStageFile(request: StageFileRequest): Promise<StageFile> {
  const plan = planStageFile(request.manifest, request.block, request.kind);
  const { source, maxDirectoryBytes = defaultMaxDirectoryBytes, freeBytes = measureFreeBytes } = request;
  const path = resolve(request.directory, nameStageFile(request.manifest, plan));
  const directory = dirname(path);
  return jobs.run(path, request, async (context) => {
    await onDisk(directory, () => mkdir(directory, { recursive: true }));
    await removeStalePartialFiles(directory);
    const existing = await existingBytes(path, plan, context.signal);
    if (existing !== undefined) return { path, bytes: existing, reused: true };
    await assertRoom(directory, sectionBytes(plan) + roomMarginBytes, freeBytes);
    const bytes = await cut(plan, path, source, context);
    await trimStageFiles({ directory, maxBytes: maxDirectoryBytes, inUse: new Set([path]) });
    return { path, bytes, reused: false };
  });
}

function sectionBytes(plan: StageFilePlan): number {
  return sectionsOf(plan).reduce((sum, { bytes }) => sum + bytes, 0);
}

/**
 * Returns the size of a file from an earlier cut, and marks it as used now; undefined when there is none with all the
 * planned content, as far as a spot check tells.
 */
async function existingBytes(path: string, plan: StageFilePlan, signal: AbortSignal): Promise<number | undefined> {
  // Before anything else, so that no other process removes it while we look. Nothing is lost where it is refused.
  await utimes(path, new Date(), new Date()).catch(() => {});
  if ((await statIfAny(path)) === undefined) return undefined;
  await using file = await openFileSource(path);
  try {
    // Files are complete when they appear, so what is left to find is damage to the disk's content.
    const { tensors } = await readGgufLayout(file);
    const isSame = plan.tensors.every(({ name, bytes }) => tensors.get(name)?.bytes === bytes);
    if (!isSame || tensors.size !== plan.tensors.length) return undefined;
    const sections = plan.tensors.flatMap(({ name, section }) => {
      const offset = tensors.get(name)?.offset;
      return section === undefined || offset === undefined ? [] : [{ ...section, offset }];
    });
    await spotCheck(path, sections, { signal });
    return file.bytes;
  } catch (error) {
    if (isSkeinError(error) && (error.code === 'model-invalid' || error.code === 'hash-mismatch')) return undefined;
    throw error;
  }
}

async function cut(
  plan: StageFilePlan,
  path: string,
  source: SectionSource,
  context: JobContext<Progress>,
): Promise<number> {
  const totalBytes = sectionBytes(plan);
  const entries = await readEntries(plan, source, context.signal);
  const rewritten = rewriteMetadata(plan, entries);
  const layout = planGguf({
    entries: [...rewritten.map((content) => ({ content })), ...plan.copied],
    tensors: plan.tensors,
    alignment: alignmentOf(entries),
  });

  await using file = await PartialFile.create(path, layout.bytes);
  for (const { content, offset } of layout.parts) await file.write(content, offset);
  const streamed: { section: Section; offset: number }[] = [
    ...plan.copied.map((section, index) => ({
      section,
      offset: invariant(layout.entryOffsets[rewritten.length + index], 'each entry has an offset'),
    })),
    ...plan.tensors.flatMap(({ section }, index) =>
      section === undefined
        ? []
        : [{ section, offset: invariant(layout.tensorOffsets[index], 'each tensor has an offset') }],
    ),
  ];
  const sections = streamed.map(({ section }) => section);
  /** Bytes of all sections before the next one. A section that comes again is not counted twice. */
  let doneBytes = totalBytes - sections.reduce((sum, { bytes }) => sum + bytes, 0);
  let current = 0;
  for await (const { index, offset, content } of verifiedSections(source, sections, context)) {
    await file.write(content, invariant(streamed[index], 'only sections that were asked for come').offset + offset);
    for (; current < index; current++) doneBytes += invariant(sections[current], 'sections come in order').bytes;
    context.report({ bytes: doneBytes + offset + content.byteLength, totalBytes });
  }
  context.signal.throwIfAborted();
  await file.commit();
  return layout.bytes;
}

/** Fetches the keys that may have to be rewritten; the plan bounds their number and length. */
async function readEntries(plan: StageFilePlan, source: SectionSource, signal: AbortSignal): Promise<EncodedEntry[]> {
  const contents = plan.rewritable.map(({ bytes }) => new Uint8Array(bytes));
  for await (const { index, offset, content } of verifiedSections(source, plan.rewritable, { signal })) {
    contents[index]?.set(content, offset);
  }
  return Promise.all(
    contents.map(async (content, index) => {
      const entry = await decodeMetadataEntry(content);
      if (entry.name === plan.rewritable[index]?.name) return { entry, content };
      throw new SkeinError('model-invalid', `the manifest calls the key ${entry.name} otherwise; pull the model again`);
    }),
  );
}

function alignmentOf(entries: readonly EncodedEntry[]): number {
  const value = entries.find(({ entry }) => entry.name === 'general.alignment')?.entry.value;
  if (value === undefined) return defaultAlignment;
  if (typeof value === 'number' && value >= 1 && value <= 65_536 && Number.isInteger(Math.log2(value))) return value;
  throw new SkeinError('model-invalid', 'the alignment of the model is not a power of two up to 65536; pull it again');
}
