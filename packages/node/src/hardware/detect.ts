import { execFile } from 'node:child_process';
import { cpus, freemem, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { SkeinError, type Hardware } from '@skein/protocol';
import { z } from 'zod';

import { backends, type Backend } from './backend.ts';

const run = promisify(execFile);
const detectTimeoutMs = 30_000;

const detectedSchema = z.object({
  backend: z.enum(backends),
  devices: z.array(z.string()),
  memoryBytes: z.number().nonnegative(),
  freeMemoryBytes: z.number().nonnegative(),
  cores: z.number().int().positive(),
});

/** What this machine can compute with, found once at start. */
export interface DetectedHardware {
  readonly backend: Backend;
  readonly cores: number;
  readonly gpus: Hardware['gpus'];
}

/**
 * Finds the backend to use: with `auto`, whatever node-llama-cpp's own detection chooses; otherwise the one named.
 *
 * @throws SkeinError `engine-incompatible` when the named backend does not work on this machine
 */
export async function detectHardware(backend: Backend | 'auto'): Promise<DetectedHardware> {
  const script = fileURLToPath(new URL('detect-main.ts', import.meta.url));
  let output: string;
  try {
    ({ stdout: output } = await run(process.execPath, [script, backend], { timeout: detectTimeoutMs }));
  } catch (error) {
    if (backend === 'auto') return detectHardware('cpu');
    throw new SkeinError(
      'engine-incompatible',
      `the ${backend} backend does not work on this machine; use --backend auto or cpu`,
      {
        cause: error,
      },
    );
  }
  const detected = detectedSchema.parse(JSON.parse(output));
  if (backend !== 'auto' && detected.backend !== backend) {
    throw new SkeinError('engine-incompatible', `no device for ${backend} on this machine; use --backend auto or cpu`);
  }
  // node-llama-cpp tells memory for all devices together; the first stands for them.
  const gpus = detected.devices
    .slice(0, 1)
    .map((name) => ({ name, memoryBytes: detected.memoryBytes, freeMemoryBytes: detected.freeMemoryBytes }));
  return { backend: detected.backend, cores: detected.cores, gpus };
}

/** The card's view of the machine, with memory as it is now. */
export function describeHardware(detected: DetectedHardware): Hardware {
  return {
    platform: `${process.platform}-${process.arch}`,
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: detected.cores,
    memoryBytes: totalmem(),
    freeMemoryBytes: freemem(),
    backend: detected.backend,
    gpus: [...detected.gpus],
  };
}
