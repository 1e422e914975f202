import { execFile, type ExecFileException } from 'node:child_process';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { SkeinError, type Hardware } from '@skein/protocol';
import { z } from 'zod';

import { gpuBackends, libraryDirectories, type Backend, type LibraryDirectories } from './backend.ts';
import type { GpuDevice } from './devices.ts';
import { applyGpuOptions, type GpuOptions } from './gpu-options.ts';
import { gpuFix, noGpu } from './gpu-problem.ts';
import type { MainMemory } from './main-memory.ts';
import { withLibraries } from './runtime-libraries.ts';

const run = promisify(execFile);
const detectTimeoutMs = 30_000;
/** Longest quoted text of an error, in characters. */
const reasonCharacters = 200;
/** Longest reason on a card, in characters. */
const fallbackCharacters = 256;

const byteCount = z.number().nonnegative();
const foundSchema = z.object({
  gpus: z.array(
    z.object({ name: z.string(), sharesMainMemory: z.boolean(), memoryBytes: byteCount, freeMemoryBytes: byteCount }),
  ),
  usesFallback: z.boolean(),
  /** Where there is no GPU: why. */
  missing: z.object({ failure: z.string().optional(), hasDriver: z.boolean() }).optional(),
});
const coresSchema = z.object({ cores: z.number().int().positive() });

/** The GPUs that the engine sees with one backend. */
export type FoundGpus = z.infer<typeof foundSchema> & { readonly libraries: LibraryDirectories };

/** A search that did not come to its end. */
export interface FailedSearch {
  readonly searchFailure: string;
  readonly cause: unknown;
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
}

/**
 * Finds the backend to use: the named one, or with `auto` the first that has a GPU, and the CPU where none has.
 *
 * @throws SkeinError `engine-incompatible` when the named backend does not work on this machine, or its GPUs are not
 * those that the options name
 */
export async function detectHardware(
  backend: Backend | 'auto',
  { gpuOptions = {}, runtimeDirectory }: DetectOptions = {},
): Promise<DetectedHardware> {
  const [cores, found] = await Promise.all([lookForCores(), findBackend(backend, { gpuOptions, runtimeDirectory })]);
  return { ...found, cores, gpuOptions };
}

async function findBackend(
  backend: Backend | 'auto',
  { gpuOptions = {}, runtimeDirectory }: DetectOptions,
): Promise<Omit<DetectedHardware, 'cores' | 'gpuOptions'>> {
  const problems: string[] = [];
  const candidates = backend === 'auto' ? gpuBackends() : [backend].filter((named) => named !== 'cpu');
  for (const candidate of candidates) {
    const installed = await librariesOf(candidate, { isNamed: backend !== 'auto' });
    if (installed === undefined) continue;
    const libraries = { ...installed, runtimeDirectory };
    const found = await lookForGpus(candidate, libraries);
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
 */
export async function lookForGpus(backend: Backend, libraries: LibraryDirectories): Promise<FoundGpus | FailedSearch> {
  const { directory, fallbackDirectory, runtimeDirectory } = libraries;
  const environment = withLibraries(process.env, runtimeDirectory);
  const directories = [directory, ...(fallbackDirectory === undefined ? [] : [fallbackDirectory])];
  const found = await ask(foundSchema, [backend, ...directories], environment);
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

async function lookForCores(): Promise<number> {
  const found = await ask(coresSchema, ['cpu']);
  if ('cores' in found) return found.cores;
  throw new SkeinError(
    'engine-incompatible',
    `the cpu backend does not work on this machine (${found.searchFailure}); run \`npm ci\` without --omit=optional`,
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
  return new SkeinError(
    'engine-incompatible',
    `the ${backend} backend does not work on this machine (${found.searchFailure}); use --backend auto or cpu`,
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
  environment = process.env,
): Promise<Answer | FailedSearch> {
  const script = fileURLToPath(new URL('detect-main.ts', import.meta.url));
  let output: string;
  try {
    ({ stdout: output } = await run(process.execPath, [script, ...argumentList], {
      env: environment,
      timeout: detectTimeoutMs,
      windowsHide: true,
    }));
  } catch (cause) {
    return { searchFailure: failureOf(cause), cause };
  }
  try {
    return schema.parse(JSON.parse(output));
  } catch (cause) {
    return { searchFailure: 'the detection gave an unreadable answer', cause };
  }
}

/** Returns the fault of the detection's process in a few words. */
function failureOf(error: unknown): string {
  const { killed, signal, code, stderr = '' } = error as Partial<ExecFileException>;
  if (killed === true) return `the detection took longer than ${detectTimeoutMs / 1000} s`;
  if (typeof signal === 'string') return `the detection was ended by ${signal}`;
  // Node prints the line that threw, the error with its stack, and its own version.
  const thrown = /^(?:\w*Error|\w*Exception)(?: \[\w+\])?: (.+)$/m.exec(stderr)?.[1];
  return `the detection failed: ${thrown?.slice(0, reasonCharacters) ?? `exit code ${code}`}`;
}
