import { getLlama } from 'node-llama-cpp';

import { missingGpu } from '../engine/libllama/backend-failure.ts';
import { listGpus } from '../engine/libllama/gpus.ts';
import { loadLibllama } from '../engine/libllama/libllama.ts';

/**
 * Looks for the GPUs of a backend as the engine does, or for the CPU's cores, and prints the answer as JSON. A process of
 * its own, because trying a broken driver may crash.
 */
const [, , backend = 'cpu', directory = '', fallbackDirectory] = process.argv;
const answer = backend === 'cpu' ? await lookForCores() : lookForGpus();
process.stdout.write(JSON.stringify(answer), () => process.exit(0));

async function lookForCores() {
  const llama = await getLlama({ gpu: false, build: 'never', skipDownload: true, progressLogs: false });
  return { cores: llama.cpuMathCores };
}

function lookForGpus() {
  const library = loadLibllama(directory, { fallbackDirectory });
  const gpus = listGpus(library, backend).map(({ device: _device, ...gpu }) => gpu);
  const { usesFallback } = library;
  return { gpus, usesFallback, missing: gpus.length > 0 ? undefined : missingGpu(directory, backend) };
}
