import { getLlama } from 'node-llama-cpp';

/**
 * Asks node-llama-cpp which GPU backend works here, and prints the answer as JSON. A process of its own, because trying
 * a broken driver may crash.
 */
const asked = process.argv[2] ?? 'auto';
const llama = await getLlama({
  gpu: asked === 'cpu' ? false : (asked as 'auto' | 'cuda' | 'vulkan' | 'metal'),
  build: 'never',
  skipDownload: true,
  // Names backends that were tried in vain.
  progressLogs: 'stderr',
});
const names = await llama.getGpuDeviceNames();
const memory = await llama.getVramState();
process.stdout.write(
  JSON.stringify({
    // A driver without a device is of no use.
    backend: llama.gpu === false || names.length === 0 ? 'cpu' : llama.gpu,
    devices: names,
    memoryBytes: memory.total,
    freeMemoryBytes: memory.free,
    cores: llama.cpuMathCores,
  }),
  () => process.exit(0),
);
