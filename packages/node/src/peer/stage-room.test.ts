import { memoryRoom, type Hardware } from '@skein/protocol';
import { expect, test } from 'vitest';

import { assertStageRoom } from './stage-room.ts';

const gibibyte = 1024 ** 3;
/** A machine with a GPU of 24 GiB and 16 GiB of main memory, all free: 23 and 16 are left for stages. */
const hardware: Hardware = {
  platform: 'linux x64',
  cpu: 'x',
  cores: 8,
  memoryBytes: 16 * gibibyte,
  freeMemoryBytes: 16 * gibibyte,
  backend: 'cuda',
  gpus: [{ name: 'gpu', memoryBytes: 24 * gibibyte, freeMemoryBytes: 24 * gibibyte }],
};

const check = (machine: Hardware, bytes: number, expertBytes = 0) => {
  assertStageRoom(memoryRoom(machine), { bytes: bytes * gibibyte, expertBytes: expertBytes * gibibyte });
};

test('a stage takes the memory of GPUs and main memory together', () => {
  expect(() => check(hardware, 39)).not.toThrow();
  expect(() => check(hardware, 40)).toThrow(/needs 40.* room for 39.*smaller context/);
});

test('experts that were asked to lie in main memory need room there', () => {
  expect(() => check(hardware, 20, 16)).not.toThrow();
  expect(() => check(hardware, 20, 17)).toThrow(/experts need 17.* room for 16.*--cpu-moe/);
});

test('where a GPU shares main memory, experts are in it anyway', () => {
  const gpus = hardware.gpus.map((gpu) => ({ ...gpu, memoryBytes: 12 * gibibyte, sharesMainMemory: true }));
  expect(() => check({ ...hardware, backend: 'metal', gpus }, 11, 11)).not.toThrow();
});
