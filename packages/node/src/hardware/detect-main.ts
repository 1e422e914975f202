import { createRequire } from 'node:module';
import { join } from 'node:path';

import { missingGpu } from '../engine/libllama/backend-failure.ts';
import { listGpus } from '../engine/libllama/gpus.ts';
import { loadLibllama } from '../engine/libllama/libllama.ts';
import { answerProbe } from '../probe/answer-probe.ts';

/**
 * Looks for the GPUs of a backend as the engine does, or for the CPU's cores, and prints the answer as JSON. A process of
 * its own, because trying a broken driver may crash.
 */
const [, , backend = 'cpu', directory = '', fallbackDirectory] = process.argv;
await answerProbe(backend === 'cpu' ? lookForCores : lookForGpus);

function lookForCores() {
  loadLibllama(directory);
  // llama.cpp's count of the cores that are good at computing. Only node-llama-cpp's addon hands it out, of which its
  // JavaScript would take a second of processor time to load.
  const addon = createRequire(import.meta.url)(join(directory, 'llama-addon.node')) as { getMathCores: () => number };
  return { cores: Math.floor(addon.getMathCores()) };
}

function lookForGpus() {
  const library = loadLibllama(directory, { fallbackDirectory });
  const gpus = listGpus(library, backend).map(({ device: _device, ...gpu }) => gpu);
  const { usesFallback } = library;
  return { gpus, usesFallback, missing: gpus.length > 0 ? undefined : missingGpu(directory, backend) };
}
