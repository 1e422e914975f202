import { expect, test } from 'vitest';

import { describeReports, isLacking } from './gpu.ts';

const gibibyte = 1024 ** 3;
const gpu = {
  name: 'RTX 3090',
  sharesMainMemory: false,
  memoryBytes: 24 * gibibyte,
  freeMemoryBytes: 23 * gibibyte,
};
const integrated = { ...gpu, name: 'Radeon\u001b[2J', sharesMainMemory: true };
const problem = { reason: 'there is no driver', fix: 'install it', isAmiss: false };

test('lists the GPUs of each backend by number, and says which backend is used', () => {
  const vulkan = { backend: 'vulkan', gpus: [gpu, integrated], usesFallback: false, software: {} } as const;
  const software = { driver: 'libcuda.so.1, for CUDA up to 12.8', runtimes: ['CUDA 12'] };
  const cuda = { backend: 'cuda', gpus: [gpu], usesFallback: true, software } as const;
  expect(describeReports([cuda, vulkan], '/data/gpu').join('\n')).toBe(
    [
      'With --backend auto Skein computes by cuda.',
      "NVIDIA's runtime libraries lie in /data/gpu.",
      '',
      'cuda: 1 GPU, by its older build',
      '  driver: libcuda.so.1, for CUDA up to 12.8; runtime: CUDA 12',
      '  0  RTX 3090  23.0 GiB of 24.0 GiB free',
      '',
      'vulkan: 2 GPUs',
      '  driver: none',
      '  0  RTX 3090   23.0 GiB of 24.0 GiB free',
      '  1  Radeon[2J  23.0 GiB of 24.0 GiB free  main memory',
    ].join('\n'),
  );
});

test('says why there is no GPU, and what helps', () => {
  const cuda = { backend: 'cuda', gpus: [], usesFallback: false, software: { runtimes: [] }, problem } as const;
  expect(describeReports([cuda], undefined)).toEqual([
    'The CPU computes here: no backend has a GPU.',
    '',
    'cuda: no GPU, since there is no driver',
    '  driver: none; runtime: none',
    '  to use one, install it',
  ]);
  expect(isLacking([cuda])).toBe(false);
  expect(isLacking([{ ...cuda, problem: { ...problem, isAmiss: true } }])).toBe(true);
});
