import { expect, test } from 'vitest';

import { gpuFix, noGpu } from './gpu-problem.ts';

const noSuchFile = 'cannot open shared object file: No such file or directory';

test.each([
  ['cuda', `libcuda.so.1: ${noSuchFile}`, /install NVIDIA's driver/],
  ['cuda', `libcudart.so.13: ${noSuchFile}`, /`skein gpu setup`/],
  ['cuda', `libcublas.so.12: ${noSuchFile}`, /`skein gpu setup`/],
  ['cuda', 'libcublasLt.so.12: file too short', /`skein gpu setup`/],
  ['vulkan', `libvulkan.so.1: ${noSuchFile}`, /Vulkan driver/],
  ['vulkan', "/lib64/libstdc++.so.6: version `GLIBCXX_3.4.30' not found", /GCC 12/],
  ['cuda', undefined, /nvidia-smi/],
  ['vulkan', undefined, /driver/],
  ['cuda', 'The specified module could not be found', /`skein gpu`/],
])('names the fix of %s: %s', (backend, reason, fix) => {
  expect(gpuFix(backend, reason)).toMatch(fix);
});

test('an engine without the GPU that it was to use says why, and how to go on without one', () => {
  expect(noGpu('cuda', `libcudart.so.13: ${noSuchFile}`)).toMatchObject({
    code: 'engine-incompatible',
    message: expect.stringMatching(/cuda.*libcudart\.so\.13.*skein gpu setup.*--backend cpu/) as string,
  });
});
