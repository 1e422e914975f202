import { checkJson } from '@skein/protocol';
import { z } from 'zod';

import { runProbe } from '../probe/run-probe.ts';
import type { Backend } from './backend.ts';
import { withLibraries } from './runtime-libraries.ts';

const softwareSchema = z.object({
  /** Library of the driver, and the newest CUDA that it runs; left out where there is none. */
  driver: z.string().optional(),
  /** Complete runtimes, e.g. `CUDA 12`. Left out for a backend that needs none beside its driver. */
  runtimes: z.array(z.string()).readonly().optional(),
});

/** Libraries of the system that a GPU backend needs, as far as they are there. */
export type GpuSoftware = z.infer<typeof softwareSchema>;

/**
 * Looks for the system's libraries that a GPU backend needs, in a process of its own; undefined where it needs none, or
 * they can't be looked at.
 *
 * @param options.runtimeDirectory directory of NVIDIA's runtime libraries. Default: where the system looks
 * @throws the reason of the signal
 */
export async function lookForSoftware(
  backend: Backend,
  options: { readonly runtimeDirectory?: string | undefined; readonly signal?: AbortSignal | undefined },
): Promise<GpuSoftware | undefined> {
  if (backend === 'metal') return undefined;
  const result = await runProbe({
    script: new URL('gpu-software-main.ts', import.meta.url),
    arguments: [backend],
    environment: withLibraries(process.env, options.runtimeDirectory),
    signal: options.signal,
  });
  if (result.type !== 'answered') return undefined;
  const checked = checkJson(softwareSchema, Buffer.from(result.answer));
  return checked.ok ? checked.data : undefined;
}
