import type { Hardware } from '@skein/protocol';
import { expect, test } from 'vitest';

import { describePlacement, startupLines } from './computing.ts';

const gibibyte = 1024 ** 3;
const hardware: Hardware = {
  platform: 'linux-x64',
  cpu: 'Ryzen',
  cores: 8,
  memoryBytes: 32 * gibibyte,
  freeMemoryBytes: 20 * gibibyte,
  backend: 'cpu',
  gpus: [],
};
const gpu = { name: 'RTX 3090', memoryBytes: 24 * gibibyte, freeMemoryBytes: 22.5 * gibibyte };

test('a starting machine names its devices', () => {
  expect(startupLines(undefined)).toEqual([]);
  expect(startupLines(hardware)).toEqual(['It computes on Ryzen, 8 cores, cpu.']);
  expect(startupLines({ ...hardware, backend: 'cuda', gpus: [gpu, gpu] })).toEqual([
    'It computes on cuda: RTX 3090 (22.5 GiB of 24.0 GiB free), RTX 3090 (22.5 GiB of 24.0 GiB free).',
  ]);
});

test('a starting machine says why its GPU is not used, in one line', () => {
  expect(startupLines({ ...hardware, fallback: 'cuda: no\nruntime' })[1]).toBe(
    'Its GPU is not used as it could be: cuda: noruntime. `skein gpu` says more.',
  );
});

test.each([
  [{ backend: 'cpu', devices: [], cpuLayers: 24, fallbacks: [] }, '24 layers on the CPU'],
  [
    {
      backend: 'cuda',
      devices: [{ name: 'RTX 3090', layers: 1, bytes: 5 }],
      cpuLayers: 2,
      fallbacks: ['it ran out once'],
    },
    '1 layer on RTX 3090, 2 layers on the CPU by cuda; it ran out once',
  ],
])('a stage says where it lies: %#', (placement, said) => {
  expect(describePlacement(placement)).toBe(said);
});
