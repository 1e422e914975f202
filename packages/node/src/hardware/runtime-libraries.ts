import { mkdir } from 'node:fs/promises';
import { delimiter, join } from 'node:path';

import { removeTree, renameFile, statIfAny } from '@skein/mesh';
import { SkeinError } from '@skein/protocol';

import { assertRoom, measureFreeBytes, onDisk, takeLock, type MeasureFreeBytes } from '../disk/index.ts';
import { downloadWheel, type PipOptions } from '../sources/pip.ts';
import { extractWheelMember } from '../sources/wheel.ts';

/** A Python package of NVIDIA's, and the libraries in it that llama.cpp's CUDA build needs. */
interface RuntimePackage {
  readonly requirement: string;
  readonly libraries: readonly string[];
}

/**
 * CUDA 12: llama.cpp's build for it runs on all cards since Maxwell, newer ones included, and with drivers since 2022.
 */
const packages: Partial<Record<NodeJS.Platform, readonly RuntimePackage[]>> = {
  linux: [
    { requirement: 'nvidia-cuda-runtime-cu12>=12.4,<13', libraries: ['libcudart.so.12'] },
    { requirement: 'nvidia-cublas-cu12>=12.4,<13', libraries: ['libcublas.so.12', 'libcublasLt.so.12'] },
  ],
  win32: [
    { requirement: 'nvidia-cuda-runtime-cu12>=12.4,<13', libraries: ['cudart64_12.dll'] },
    { requirement: 'nvidia-cublas-cu12>=12.4,<13', libraries: ['cublas64_12.dll', 'cublasLt64_12.dll'] },
  ],
};

/** Room for the libraries and the wheel that the largest comes in, in bytes. */
const neededBytes = 3 * 1024 ** 3;
/** Largest library that is taken out of a wheel, in bytes. */
const maxLibraryBytes = 2 * 1024 ** 3;

/** Returns the directory of NVIDIA's runtime libraries in a data directory, whether it is there or not. */
export function runtimeDirectoryIn(dataDirectory: string): string {
  return join(dataDirectory, 'gpu', 'cuda-12');
}

/**
 * Finds the runtime libraries that {@link installRuntime} has put into a data directory; undefined where it has not.
 *
 * @throws SkeinError `disk-failed` where that can't be determined
 */
export async function findRuntime(dataDirectory: string): Promise<string | undefined> {
  const directory = runtimeDirectoryIn(dataDirectory);
  return (await statIfAny(directory)) === undefined ? undefined : directory;
}

/** Returns an environment in which a process finds the libraries of a directory. Without one, it stays as it is. */
export function withLibraries(environment: NodeJS.ProcessEnv, directory: string | undefined): NodeJS.ProcessEnv {
  if (directory === undefined) return environment;
  // Windows has no variable for libraries alone, and writes this one's name in several ways.
  const isPath = (name: string): boolean => name.toUpperCase() === 'PATH';
  const name = process.platform === 'win32' ? (Object.keys(environment).find(isPath) ?? 'PATH') : 'LD_LIBRARY_PATH';
  const before = environment[name];
  return { ...environment, [name]: before ? `${directory}${delimiter}${before}` : directory };
}

export interface InstallRuntimeOptions {
  readonly signal: AbortSignal;
  /** Receives the package that is fetched, and the bytes of it so far. */
  readonly onProgress?: (progress: { readonly package: string; readonly doneBytes: number }) => void;
  readonly pip?: PipOptions;
  /** Default: that of the file system. */
  readonly measureFreeBytes?: MeasureFreeBytes;
}

/**
 * Fetches NVIDIA's runtime libraries with the machine's own pip, from the index that it is configured for, and puts them
 * into a data directory: all of them, or none. Of several processes one at a time does.
 *
 * @returns their directory
 * @throws SkeinError `engine-incompatible` where there are none for this platform, `model-unreachable` when pip fails,
 * `disk-failed`
 */
export async function installRuntime(dataDirectory: string, options: InstallRuntimeOptions): Promise<string> {
  const wanted = process.arch === 'x64' ? packages[process.platform] : undefined;
  if (wanted === undefined) {
    throw new SkeinError('engine-incompatible', 'llama.cpp has no CUDA build for this platform; use another backend');
  }
  const target = runtimeDirectoryIn(dataDirectory);
  const parent = join(dataDirectory, 'gpu');
  await onDisk(parent, () => mkdir(parent, { recursive: true }));
  await using _lock = await takeLock(join(parent, 'setup.lock'), options);
  const scratch = join(parent, 'fetching');
  // The lock is ours, so a scratch directory that exists is left from a process that died.
  await onDisk(parent, () => removeTree(scratch));
  await assertRoom(parent, neededBytes, options.measureFreeBytes ?? measureFreeBytes);
  try {
    const fetched = join(scratch, 'libraries');
    await onDisk(parent, () => mkdir(fetched, { recursive: true }));
    for (const [index, runtimePackage] of wanted.entries()) {
      const directory = join(scratch, String(index));
      await mkdir(directory);
      await fetchLibraries(runtimePackage, { ...options, directory, fetched });
      await removeTree(directory);
    }
    await onDisk(parent, async () => {
      await removeTree(target);
      await renameFile(fetched, target);
    });
  } finally {
    await removeTree(scratch);
  }
  return target;
}

async function fetchLibraries(
  { requirement, libraries }: RuntimePackage,
  around: InstallRuntimeOptions & { readonly directory: string; readonly fetched: string },
): Promise<void> {
  const { directory, fetched, signal, onProgress, pip } = around;
  onProgress?.({ package: requirement, doneBytes: 0 });
  const wheel = await downloadWheel(
    {
      requirement,
      directory,
      signal,
      onProgress: (doneBytes) => onProgress?.({ package: requirement, doneBytes }),
    },
    pip,
  );
  for (const library of libraries) {
    await extractWheelMember(wheel, { name: library, to: join(fetched, library), maxBytes: maxLibraryBytes });
    signal.throwIfAborted();
  }
}
