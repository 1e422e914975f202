import { createHash } from 'node:crypto';
import { mkdir, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';

import { isSkeinError, SkeinError, type Block, type ModelManifest, type Section } from '@skein/protocol';

import { decodeMetadataEntry, openFileSource, planGguf, readGgufLayout } from '../gguf/index.ts';
import { PartialFile, removeStalePartialFiles } from './partial-file.ts';
import type { Progress } from './progress.ts';
import { rewriteMetadata, type EncodedEntry } from './rewrite-metadata.ts';
import type { SectionSource } from './section-source.ts';
import { planStageFile, sectionsOf, type StageFileKind, type StageFilePlan } from './sections.ts';
import { SharedJobs, type JobContext } from './shared-jobs.ts';
import { verifiedSections } from './verified-sections.ts';

/** Part of the file name: raise it when files cut by an older version must not be used any more. */
const formatVersion = 1;
const defaultAlignment = 32;

export interface StageFile {
  readonly path: string;
  /** Its size. Placeholders are holes, so it may take less room on the disk. */
  readonly bytes: number;
  /** Whether it was there already. */
  readonly reused: boolean;
}

export interface StageFileRequest {
  readonly manifest: ModelManifest;
  readonly block: Block;
  readonly kind: StageFileKind;
  readonly source: SectionSource;
  /** Where stage files lie; made when missing. */
  readonly directory: string;
  /** Bytes of sections fetched so far. */
  readonly onProgress?: ((progress: Progress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** One writer per file and process: the file system is the state that is shared here. */
const jobs = new SharedJobs<Progress, StageFile>();

/**
 * Makes sure that the stage file is there, and cuts it from its source when it is not: each section is verified while it is
 * written, and the file appears under its name only when it is complete. Concurrent calls for one file share the work.
 *
 * @throws SkeinError `split-unsupported`, `model-invalid`, `hash-mismatch`, `model-unreachable` or `disk-failed`
 */
export async function ensureStageFile(request: StageFileRequest): Promise<StageFile> {
  const plan = planStageFile(request.manifest, request.block, request.kind);
  const path = resolve(request.directory, stageFileName(request.manifest, plan));
  return jobs.run(path, request, async (context) => {
    await mkdir(request.directory, { recursive: true });
    await removeStalePartialFiles(request.directory);
    const bytes = await existingBytes(path, plan);
    if (bytes !== undefined) return { path, bytes, reused: true };
    return { path, bytes: await cut(plan, path, request.source, context), reused: false };
  });
}

/** Where {@link ensureStageFile} puts a stage file. */
export function stageFilePath(request: Pick<StageFileRequest, 'manifest' | 'block' | 'kind' | 'directory'>): string {
  return join(
    request.directory,
    stageFileName(request.manifest, planStageFile(request.manifest, request.block, request.kind)),
  );
}

function stageFileName({ model, shape }: ModelManifest, { part, block }: StageFilePlan): string {
  // A front does not depend on the block.
  const { from, to } = part === 'front' ? { from: 0, to: shape.layers } : block;
  const kind: StageFileKind = part === 'front' ? 'front' : 'stage';
  const identity = `${model}:${from}-${to}:${kind}:${formatVersion}`;
  return `${createHash('sha256').update(identity).digest('hex')}.gguf`;
}

/** Size of a file from an earlier cut; undefined when there is none that has all that is planned. */
async function existingBytes(path: string, plan: StageFilePlan): Promise<number | undefined> {
  const status = await stat(path).catch(() => undefined);
  if (status === undefined) return undefined;
  await using file = await openFileSource(path);
  try {
    // Files are complete when they appear, so what is left to find is damage to the disk's content: a wrong size.
    const { tensors } = await readGgufLayout(file);
    const isSame = plan.tensors.every(({ name, bytes }) => tensors.get(name)?.bytes === bytes);
    return isSame && tensors.size === plan.tensors.length ? file.bytes : undefined;
  } catch (error) {
    if (isSkeinError(error) && error.code === 'model-invalid') return undefined;
    throw error;
  }
}

async function cut(
  plan: StageFilePlan,
  path: string,
  source: SectionSource,
  context: JobContext<Progress>,
): Promise<number> {
  const totalBytes = sectionsOf(plan).reduce((sum, { bytes }) => sum + bytes, 0);
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
    ...plan.copied.map((section, index) => ({ section, offset: layout.entryOffsets[rewritten.length + index] ?? 0 })),
    ...plan.tensors.flatMap(({ section }, index) =>
      section === undefined ? [] : [{ section, offset: layout.tensorOffsets[index] ?? 0 }],
    ),
  ];
  const sections = streamed.map(({ section }) => section);
  let done = totalBytes - sections.reduce((sum, { bytes }) => sum + bytes, 0);
  for await (const { index, offset, content } of verifiedSections(source, sections, context)) {
    await file.write(content, (streamed[index]?.offset ?? 0) + offset);
    done += content.byteLength;
    context.report({ bytes: done, totalBytes });
  }
  context.signal.throwIfAborted();
  await file.commit();
  return layout.bytes;
}

/** Fetches the keys that may have to be rewritten; their number and length are bounded by the plan. */
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
