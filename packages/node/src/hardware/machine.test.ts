import { silentLogger } from '@skein/protocol';
import { expect, it } from 'vitest';

import type { DetectedHardware } from './detect.ts';
import { Machine } from './machine.ts';

const detected: DetectedHardware = {
  backend: 'cuda',
  libraries: { directory: '/nowhere', fallbackDirectory: undefined, runtimeDirectory: undefined },
  cores: 4,
  gpus: [{ name: 'fake', sharesMainMemory: false, memoryBytes: 24, freeMemoryBytes: 20 }],
  gpuOptions: {},
};

/** A machine whose GPU has less free memory at every look, and a clock that stands. */
function fakeMachine() {
  const clock = { nowMs: 0, looks: 0 };
  const measureGpus = async (before: DetectedHardware): Promise<DetectedHardware> => {
    clock.looks += 1;
    return { ...before, gpus: before.gpus.map((gpu) => ({ ...gpu, freeMemoryBytes: 20 - clock.looks })) };
  };
  const machine = new Machine(detected, silentLogger, { measureGpus, now: () => clock.nowMs });
  const look = async () => (await machine.measureUnlessFresh()).gpus[0]?.freeMemoryBytes;
  return { clock, machine, look };
}

it('looks at the GPUs again for a plan unless it has just done so, however often it is asked', async () => {
  const { clock, machine, look } = fakeMachine();
  expect(await look()).toBe(20);
  clock.nowMs = 2000;
  expect(await Promise.all([look(), look(), look()])).toEqual([19, 19, 19]);
  clock.nowMs = 3999;
  expect(await look()).toBe(19);
  expect((await machine.measure()).gpus).toMatchObject([{ freeMemoryBytes: 18 }]);
  clock.nowMs = 5000;
  expect(await look()).toBe(18);
  expect(clock.looks).toBe(2);
});
