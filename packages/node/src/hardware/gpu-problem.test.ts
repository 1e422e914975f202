import { expect, test } from 'vitest';

import { gpuFix, noGpu } from './gpu-problem.ts';

const noSuchFile = 'cannot open shared object file: No such file or directory';

test.each([
  ['cuda', `libcuda.so.1: ${noSuchFile}`, false, /^install NVIDIA's driver$/],
  ['cuda', `libcudart.so.13: ${noSuchFile}`, true, /^run `skein gpu setup`/],
  ['cuda', `libcublas.so.12: ${noSuchFile}`, true, /^run `skein gpu setup`/],
  // The loader names the first library that it misses, and the driver's may be among the others.
  ['cuda', `libcublas.so.12: ${noSuchFile}`, false, /^install NVIDIA's driver, then run `skein gpu setup`/],
  ['cuda', 'libcublasLt.so.12: file too short', true, /^run `skein gpu setup`/],
  ['vulkan', `libvulkan.so.1: ${noSuchFile}`, false, /^install the Vulkan driver/],
  ['vulkan', "/lib64/libstdc++.so.6: version `GLIBCXX_3.4.30' not found", false, /GCC 12/],
  ['cuda', undefined, true, /nvidia-smi/],
  ['vulkan', undefined, false, /^check the GPU's driver$/],
  ['cuda', 'The specified module could not be found', true, /`skein gpu`/],
])('names the fix of %s: %s', (backend, failure, hasDriver, fix) => {
  expect(gpuFix(backend, { failure, hasDriver })).toMatch(fix);
});

test('an engine without the GPU that it was to use says why, and how to go on without one', () => {
  expect(noGpu('cuda', { failure: `libcudart.so.13: ${noSuchFile}`, hasDriver: true })).toMatchObject({
    code: 'engine-incompatible',
    message: expect.stringMatching(/cuda.*libcudart\.so\.13.*skein gpu setup.*--backend cpu/) as string,
  });
});
