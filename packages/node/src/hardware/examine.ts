import { gpuBackends, libraryDirectories, type Backend } from './backend.ts';
import { lookForGpus, type FailedSearch, type FoundGpus } from './detect.ts';
import type { GpuDevice } from './devices.ts';
import { gpuFix, gpuReason, lacksRuntime } from './gpu-problem.ts';
import { lookForSoftware, type GpuSoftware } from './gpu-software.ts';

/** A GPU backend on this machine, as the engine would use it. */
export interface BackendReport {
  readonly backend: Backend;
  /** Its GPUs, in the order of their numbers from 0. Empty where it can't be used. */
  readonly gpus: readonly GpuDevice[];
  /** Whether its older build is used, since the newest does not load. */
  readonly usesFallback: boolean;
  /** Libraries of the system that it needs; undefined where it needs none, or they were not looked for. */
  readonly software?: GpuSoftware | undefined;
  /** Reason why it has no GPU; undefined where it has one. */
  readonly problem?: GpuProblem | undefined;
}

/** Reason why a backend has no GPU. */
export interface GpuProblem {
  readonly reason: string;
  readonly fix: string;
  /** Whether this machine seems to have a GPU for it. */
  readonly isAmiss: boolean;
  /** Whether NVIDIA's runtime libraries are all that is missing. Default false. */
  readonly lacksRuntime?: boolean | undefined;
}

/**
 * Looks at every GPU backend of this platform, each in a process of its own.
 *
 * @param runtimeDirectory directory of NVIDIA's runtime libraries. Default: where the system looks
 * @throws the reason of the signal
 */
export async function examineGpus(
  runtimeDirectory?: string,
  options: { readonly signal?: AbortSignal | undefined } = {},
): Promise<readonly BackendReport[]> {
  return await Promise.all(gpuBackends().map(async (backend) => await examine(backend, runtimeDirectory, options)));
}

async function examine(
  backend: Backend,
  runtimeDirectory: string | undefined,
  options: { readonly signal?: AbortSignal | undefined },
): Promise<BackendReport> {
  const libraries = await libraryDirectories(backend).catch(() => undefined);
  if (libraries === undefined) {
    const fix = 'run `npm ci` without --omit=optional';
    const problem = { reason: 'its build of llama.cpp is not installed', fix, isAmiss: false };
    return { backend, gpus: [], usesFallback: false, problem };
  }
  const [found, software] = await Promise.all([
    lookForGpus(backend, { ...libraries, runtimeDirectory }, options),
    lookForSoftware(backend, { ...options, runtimeDirectory }),
  ]);
  return { ...reportOf(backend, found), software };
}

/** Judges a search for the GPUs of a backend. */
export function reportOf(backend: Backend, found: FoundGpus | FailedSearch): BackendReport {
  if ('searchFailure' in found) {
    const fix = found.isLate
      ? "restart this machine, since the GPU's driver seems to hang, or update the driver"
      : "update the GPU's driver";
    return { backend, gpus: [], usesFallback: false, problem: { reason: found.searchFailure, fix, isAmiss: true } };
  }
  const { gpus, usesFallback, missing } = found;
  if (missing === undefined) return { backend, gpus, usesFallback };
  const problem = {
    reason: gpuReason(backend, missing),
    fix: gpuFix(backend, missing),
    isAmiss: missing.hasDriver,
    ...(lacksRuntime(missing) && { lacksRuntime: true }),
  };
  return { backend, gpus, usesFallback, problem };
}
