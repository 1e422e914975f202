import { execFile, type ExecFileException } from 'node:child_process';
import { cpus, freemem, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';
import { promisify, stripVTControlCharacters } from 'node:util';

import { SkeinError, type Hardware } from '@skein/protocol';
import { z } from 'zod';

import { backends, type Backend } from './backend.ts';

const run = promisify(execFile);
const detectTimeoutMs = 30_000;
/** Longest quoted text of an error, in characters. */
const reasonCharacters = 200;

const detectedSchema = z.object({
  backend: z.enum(backends),
  devices: z.array(z.string()),
  memoryBytes: z.number().nonnegative(),
  freeMemoryBytes: z.number().nonnegative(),
  cores: z.number().int().positive(),
});

type Detected = z.infer<typeof detectedSchema> & {
  /** node-llama-cpp's message about a backend that it could not use. */
  readonly warning: string | undefined;
};

/** This machine's means of computing, found once at start. */
export interface DetectedHardware {
  readonly backend: Backend;
  readonly cores: number;
  readonly gpus: Hardware['gpus'];
  /**
   * Reason why `auto` took the CPU, when the search for a GPU failed; absent when it found one, or found that there is
   * none.
   */
  readonly fallback?: string;
}

/**
 * Finds the backend to use: the named one, or with `auto` the choice of node-llama-cpp's own detection, and the CPU
 * when that fails.
 *
 * @throws SkeinError `engine-incompatible` when the named backend does not work on this machine
 */
export async function detectHardware(backend: Backend | 'auto'): Promise<DetectedHardware> {
  const found = await detect(backend);
  if ('failure' in found) {
    const { failure, cause } = found;
    if (backend === 'auto') return { ...(await detectHardware('cpu')), fallback: failure };
    throw new SkeinError(
      'engine-incompatible',
      `the ${backend} backend does not work on this machine (${failure}); use --backend auto or cpu`,
      { cause },
    );
  }
  if (backend !== 'auto' && found.backend !== backend) {
    throw new SkeinError('engine-incompatible', `no device for ${backend} on this machine; use --backend auto or cpu`);
  }
  // node-llama-cpp tells memory for all devices together; the first stands for them.
  const gpus = found.devices
    .slice(0, 1)
    .map((name) => ({ name, memoryBytes: found.memoryBytes, freeMemoryBytes: found.freeMemoryBytes }));
  const { cores, warning } = found;
  const hasFallenBack = backend === 'auto' && found.backend === 'cpu' && warning !== undefined;
  return { backend: found.backend, cores, gpus, ...(hasFallenBack && { fallback: warning }) };
}

async function detect(backend: Backend | 'auto'): Promise<Detected | { failure: string; cause: unknown }> {
  const script = fileURLToPath(new URL('detect-main.ts', import.meta.url));
  let output: { readonly stdout: string; readonly stderr: string };
  try {
    output = await run(process.execPath, [script, backend], { timeout: detectTimeoutMs, windowsHide: true });
  } catch (cause) {
    return { failure: failureOf(cause), cause };
  }
  try {
    const warning = /\[node-llama-cpp\] (.+)/.exec(stripVTControlCharacters(output.stderr))?.[1];
    return { ...detectedSchema.parse(JSON.parse(output.stdout)), warning: warning?.slice(0, reasonCharacters) };
  } catch (cause) {
    return { failure: 'the detection gave an unreadable answer', cause };
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

/**
 * Describes the machine for its card. Main memory is as it is now; that of GPUs as it was found at start: the planner
 * allows for the memory that stages have taken since.
 */
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
