import { cpus } from 'node:os';

import { SkeinError, type Hardware } from '@skein/protocol';
import { z } from 'zod';

import { runProbe, type ProbeResult } from '../probe/run-probe.ts';
import { gpuBackends, libraryDirectories, libraryDirectory, type Backend, type LibraryDirectories } from './backend.ts';
import type { GpuDevice } from './devices.ts';
import { applyGpuOptions, type GpuOptions } from './gpu-options.ts';
import { gpuFix, noGpu } from './gpu-problem.ts';
import type { MainMemory } from './main-memory.ts';
import { withLibraries } from './runtime-libraries.ts';

/** Longest quoted text of an error, in characters. */
const reasonCharacters = 200;
/** Most characters of a process's errors that are kept. */
const errorCharacters = 2000;
/** Longest reason on a card, in characters. */
const fallbackCharacters = 256;

const byteCount = z.number().nonnegative();
const foundSchema = z.object({
  gpus: z.array(
    z.object({ name: z.string(), sharesMainMemory: z.boolean(), memoryBytes: byteCount, freeMemoryBytes: byteCount }),
  ),
  usesFallback: z.boolean(),
  /** Reason why there is no GPU; absent where there is one. */
  missing: z.object({ failure: z.string().optional(), hasDriver: z.boolean() }).optional(),
});
const coresSchema = z.object({ cores: z.number().int().positive() });

/** The GPUs that the engine sees with one backend. */
export type FoundGpus = z.infer<typeof foundSchema> & { readonly libraries: LibraryDirectories };

/** A search that did not come to its end. */
export interface FailedSearch {
  readonly searchFailure: string;
  /** Whether it took too long, as behind a driver that hangs. */
  readonly isLate: boolean;
  readonly cause?: unknown;
}

/** This machine's means of computing. */
export interface DetectedHardware {
  readonly backend: Backend;
  readonly libraries: LibraryDirectories;
  readonly cores: number;
  /** The GPUs that stages are placed on, as they were when they were last looked at. */
  readonly gpus: readonly GpuDevice[];
  readonly gpuOptions: GpuOptions;
  /**
   * Reason why `auto` took a slower backend than this machine's GPU may have; absent when it did not, or found that
   * there is none.
   */
  readonly fallback?: string;
}

export interface DetectOptions {
  /** Default: none. */
  readonly gpuOptions?: GpuOptions | undefined;
  /** Directory of NVIDIA's runtime libraries. Default: where the system looks. */
  readonly runtimeDirectory?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Finds the backend to use: the named one, or with `auto` the first that has a GPU, and the CPU where none has.
 *
 * @throws SkeinError `engine-incompatible` when the named backend does not work on this machine, or its GPUs are not
 * those that the options name; the reason of the signal
 */
export async function detectHardware(
  backend: Backend | 'auto',
  options: DetectOptions = {},
): Promise<DetectedHardware> {
  const over = new AbortController();
  const signal = AbortSignal.any([over.signal, ...(options.signal === undefined ? [] : [options.signal])]);
  try {
    const [cores, found] = await Promise.all([lookForCores(signal), findBackend(backend, { ...options, signal })]);
    return { ...found, cores, gpuOptions: options.gpuOptions ?? {} };
  } finally {
    // Ends the searches that turned out not to matter.
    over.abort();
  }
}

async function findBackend(
  backend: Backend | 'auto',
  { gpuOptions = {}, runtimeDirectory, signal }: DetectOptions,
): Promise<Omit<DetectedHardware, 'cores' | 'gpuOptions'>> {
  const problems: string[] = [];
  const candidates = backend === 'auto' ? gpuBackends() : [backend].filter((named) => named !== 'cpu');
  // All at once: a driver that takes its time holds up no other.
  const searches = candidates.map((candidate) => {
    const search = searchOf(candidate, { isNamed: backend !== 'auto', runtimeDirectory, signal });
    search.catch(() => undefined);
    return search;
  });
  for (const [index, candidate] of candidates.entries()) {
    const search = await searches[index];
    if (search === undefined) continue;
    const { found, libraries } = search;
    if (!('searchFailure' in found) && found.gpus.length > 0) {
      const { gpus } = applyGpuOptions(found.gpus, gpuOptions, candidate);
      return { backend: candidate, libraries, gpus, ...fallbackOf(problems) };
    }
    if (backend !== 'auto') throw unusable(candidate, found);
    const problem = problemOf(candidate, found);
    if (problem !== undefined) problems.push(problem);
  }
  // Wishes for GPUs are refused where there is none, rather than left alone.
  applyGpuOptions([], gpuOptions, 'cpu');
  return { backend: 'cpu', libraries: await libraryDirectories('cpu'), gpus: [], ...fallbackOf(problems) };
}

/** Searches with one backend; undefined where `auto` has no such build of llama.cpp. */
async function searchOf(
  backend: Backend,
  { isNamed, runtimeDirectory, signal }: Omit<DetectOptions, 'gpuOptions'> & { readonly isNamed: boolean },
): Promise<{ readonly found: FoundGpus | FailedSearch; readonly libraries: LibraryDirectories } | undefined> {
  const installed = await librariesOf(backend, { isNamed });
  if (installed === undefined) return undefined;
  const libraries = { ...installed, runtimeDirectory };
  return { found: await lookForGpus(backend, libraries, { signal }), libraries };
}

/** Looks at the GPUs anew, for their free memory. Gives back what is known where that fails. */
export async function measureGpus(detected: DetectedHardware): Promise<DetectedHardware> {
  const { backend, libraries, gpuOptions } = detected;
  if (backend === 'cpu') return detected;
  const found = await lookForGpus(backend, libraries);
  if ('searchFailure' in found || found.gpus.length === 0) return detected;
  const { gpus } = applyGpuOptions(found.gpus, gpuOptions, backend);
  return { ...detected, gpus };
}

/**
 * Looks for the GPUs of a backend, in a process that loads what an engine loads.
 *
 * @param libraries of that backend
 * @throws the reason of the signal
 */
export async function lookForGpus(
  backend: Backend,
  libraries: LibraryDirectories,
  { signal }: { readonly signal?: AbortSignal | undefined } = {},
): Promise<FoundGpus | FailedSearch> {
  const { directory, fallbackDirectory, runtimeDirectory } = libraries;
  const environment = withLibraries(process.env, runtimeDirectory);
  const directories = [directory, ...(fallbackDirectory === undefined ? [] : [fallbackDirectory])];
  const found = await ask(foundSchema, [backend, ...directories], { environment, signal });
  return 'searchFailure' in found ? found : { ...found, libraries };
}

/** Describes the machine for its card. */
export function describeHardware({ backend, cores, gpus, fallback }: DetectedHardware, memory: MainMemory): Hardware {
  return {
    platform: `${process.platform}-${process.arch}`,
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores,
    ...memory,
    backend,
    gpus: gpus.map((gpu) => ({ ...gpu, name: gpu.name.slice(0, fallbackCharacters) })),
    ...(fallback !== undefined && { fallback }),
  };
}

async function lookForCores(signal: AbortSignal): Promise<number> {
  const found = await ask(coresSchema, ['cpu', await libraryDirectory('cpu')], { signal });
  if ('cores' in found) return found.cores;
  const fix = found.isLate
    ? 'it is too busy, or its disk too slow: end other programs and try again'
    : 'run `npm ci` again; `skein doctor` names what this machine lacks';
  throw new SkeinError(
    'engine-incompatible',
    `the cpu backend does not work on this machine (${found.searchFailure}); ${fix}`,
    { cause: found.cause },
  );
}

async function librariesOf(
  backend: Backend,
  { isNamed }: { readonly isNamed: boolean },
): Promise<LibraryDirectories | undefined> {
  if (isNamed) return await libraryDirectories(backend);
  return await libraryDirectories(backend).catch(() => undefined);
}

function unusable(backend: Backend, found: FoundGpus | FailedSearch): SkeinError {
  if (!('searchFailure' in found)) return noGpu(backend, found.missing ?? { hasDriver: false });
  const fix = found.isLate ? 'restart this machine, or use --backend auto or cpu' : 'use --backend auto or cpu';
  return new SkeinError(
    'engine-incompatible',
    `the ${backend} backend does not work on this machine (${found.searchFailure}); ${fix}`,
    { cause: found.cause },
  );
}

/** Returns the problem of a backend without GPUs; undefined where there is none, as on a machine without any. */
function problemOf(backend: Backend, found: FoundGpus | FailedSearch): string | undefined {
  if ('searchFailure' in found) return `${backend}: ${found.searchFailure}`;
  const { missing } = found;
  if (missing?.hasDriver !== true) return undefined;
  return `${backend}: ${missing.failure ?? "NVIDIA's driver lists no GPU"}; ${gpuFix(backend, missing)}`;
}

function fallbackOf(problems: readonly string[]): { readonly fallback?: string } {
  return problems.length === 0 ? {} : { fallback: problems.join('; ').slice(0, fallbackCharacters) };
}

/** Runs the program of the detection, and checks its answer. */
async function ask<Answer>(
  schema: z.ZodType<Answer>,
  argumentList: readonly string[],
  options: { readonly environment?: NodeJS.ProcessEnv; readonly signal: AbortSignal | undefined },
): Promise<Answer | FailedSearch> {
  const script = new URL('detect-main.ts', import.meta.url);
  const result = await runProbe({ script, arguments: argumentList, ...options });
  if (result.type !== 'answered') return failed(result);
  try {
    return schema.parse(JSON.parse(result.answer));
  } catch (cause) {
    return { searchFailure: 'the detection gave an unreadable answer', isLate: false, cause };
  }
}

/** Describes a search without an answer in a few words. */
function failed(result: Exclude<ProbeResult, { type: 'answered' }>): FailedSearch {
  if (result.type === 'late') {
    const what = result.phase === 'start' ? 'the start of the detection' : 'the detection';
    return { searchFailure: `${what} took longer than ${Math.round(result.limitMs / 1000)} s`, isLate: true };
  }
  const { by, errors } = result;
  const cause = new Error(errors.slice(-errorCharacters));
  if (typeof by === 'string') return { searchFailure: `the detection was ended by ${by}`, isLate: false, cause };
  // Node prints the line that threw, the error with its stack, and its own version.
  const thrown = /^(?:\w*Error|\w*Exception)(?: \[\w+\])?: (.+)$/m.exec(errors)?.[1];
  const reason = thrown?.slice(0, reasonCharacters) ?? `exit code ${by}`;
  return { searchFailure: `the detection failed: ${reason}`, isLate: false, cause };
}
