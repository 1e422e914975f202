import { expect, it } from 'vitest';

import { KernelNotes, parseKernels } from './kernels.ts';

it('finds the CPU backend among the files that a process has mapped, once', () => {
  const maps = `7f00-7f01 r-xp 00000000 08:01 12 /somewhere/bin/libggml-cpu-icelake.so
7f01-7f02 rw-p 00000000 08:01 12 /somewhere/bin/libggml-cpu-icelake.so
7f02-7f03 r-xp 00000000 08:01 13 /somewhere/bin/libggml-base.so
7f03-7f04 rw-p 00000000 00:00 0 [heap]
`;
  expect(parseKernels(maps)).toEqual(['icelake']);
});

it('refuses to compare with a program that has loaded none', async () => {
  await expect(new KernelNotes().note('a program', process.pid)).rejects.toThrow('none of');
});
