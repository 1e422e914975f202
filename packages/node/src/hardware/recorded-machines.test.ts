import { hardwareSchema, invariant, memoryRoom, type Hardware } from '@skein/protocol';
import { describe, expect, it, test } from 'vitest';

import { chooseOffload, roomsOn, type StageSizes } from '../engine/child/offload.ts';
import { describeHardware } from './detect.ts';
import { applyGpuOptions, type GpuOptions } from './gpu-options.ts';
import { mainMemory } from './main-memory.ts';
import { recordedMachines, type RecordedMachine } from './recorded-machines.ts';

const gibibyte = 1024 ** 3;

type Name = (typeof recordedMachines)[number]['machine'];

function machineOf(name: Name): RecordedMachine {
  return invariant(
    recordedMachines.find(({ machine }) => machine === name),
    'the machine is recorded',
  );
}

function choiceOf({ gpus, options = {}, backend }: RecordedMachine) {
  return applyGpuOptions(gpus, options, backend);
}

/** Makes the hardware on the machine's card. */
function cardOf(machine: RecordedMachine): Hardware {
  const { gpus } = choiceOf(machine);
  const libraries = { directory: '', fallbackDirectory: undefined };
  const detected = { backend: machine.backend, libraries, cores: 8, gpus, gpuOptions: {} };
  return describeHardware(detected, mainMemory(machine.memory));
}

/** Sizes of a model with equal layers, in GiB. */
function modelOf({ layers, size, output = 0.25 }: { layers: number; size: number; output?: number }): StageSizes {
  const layerBytes = ((size - output) * gibibyte) / layers;
  return { layers: Array.from({ length: layers }, () => layerBytes), output: output * gibibyte };
}

/** Layers on each GPU, and those that stay in main memory. */
interface Placed {
  readonly gpus: readonly number[];
  readonly cpu: number;
}

/** Places a model on a machine's GPUs. */
function place(name: Name, sizes: StageSizes): Placed {
  const { gpus, spread } = choiceOf(machineOf(name));
  const { devices } = chooseOffload(sizes, { rooms: roomsOn(gpus), spread });
  const layers = devices.map((device) => device.layers);
  return { gpus: layers, cpu: sizes.layers.length - layers.reduce((sum, count) => sum + count, 0) };
}

describe('the room of', () => {
  it.each<[Name, onGpus: number, onMachine: number]>([
    ['a gaming PC with a 4090', 22, 74],
    ['a PC with a 3090 and 16 GB', 22.5, 33.5],
    ['a rig with 2 × 3090 and 32 GB', 45, 72],
    ['a rig with 4 × 3090 and 64 GB', 90, 148],
    ['an old server with 3 × P40', 68.25, 96.25],
    ['a server with 8 × H100', 624, 1604],
    ['a PC with a 3090 beside a 3060', 33, 57],
    ['a PC whose integrated GPU comes before its 7900 XTX', 22.25, 48.25],
    ['a PC with an Arc A770 before its integrated GPU', 14.5, 39.5],
    ['a gaming laptop, a 4060 by Vulkan', 6.25, 15.25],
    ['a laptop with a GTX 1650', 2.5, 12.5],
    ['an office laptop with Iris Xe', 7, 7],
    ['a PC whose GPU a game fills', 0, 0],
    ['a Steam Deck', 6.5, 9],
    ['a Strix Halo with 128 GB', 107, 117],
    ['a MacBook Air M2 with 16 GB and a busy browser', 5, 5],
    ['a Mac Studio M2 Ultra with 192 GB', 143, 143],
    ['a MacBook Pro with an Intel CPU', 0, 19],
    ['a Raspberry Pi 5 with 8 GB', 0, 6.5],
    ['a Raspberry Pi 4 with 2 GB', 0, 1.25],
    ['a NAS with 128 GB', 0, 110],
    ['WSL2 on a PC with a 3080', 7.75, 20.75],
    ['a container with 8 GB on a server with 64', 0, 6],
    ['a container with 4 GB and a 3090', 22.5, 26],
    ['a container with more than its host has free', 0, 3],
    ['a rig of which the first and the last GPU are lent', 33, 83],
  ])('%s is %d GiB on GPUs and %d GiB in all', (name, onGpus, onMachine) => {
    const { deviceBytes, bytes } = memoryRoom(cardOf(machineOf(name)));
    expect([deviceBytes / gibibyte, bytes / gibibyte]).toEqual([onGpus, onMachine]);
  });

  it('a machine with 16 GB and a GPU of 24 GB takes a stage of 20 GB', () => {
    const { bytes } = memoryRoom(cardOf(machineOf('a PC with a 3090 and 16 GB')));
    expect(bytes).toBeGreaterThan(20 * gibibyte);
    expect(place('a PC with a 3090 and 16 GB', modelOf({ layers: 64, size: 20 }))).toEqual({ gpus: [64], cpu: 0 });
  });
});

test.each(recordedMachines.map((machine) => [machine.machine, machine] as const))(
  'the card of %s is one that others take',
  (_name, machine) => {
    const card = cardOf(machine);
    expect(hardwareSchema.parse(card)).toEqual(card);
  },
);

test.each<[Name, gpus: readonly string[]]>([
  ['a PC whose integrated GPU comes before its 7900 XTX', ['AMD Radeon RX 7900 XTX (RADV NAVI31)']],
  ['a PC with an Arc A770 before its integrated GPU', ['Intel(R) Arc(TM) A770 Graphics (DG2)']],
  ['a gaming laptop, a 4060 by Vulkan', ['NVIDIA GeForce RTX 4060 Laptop GPU']],
  ['an office laptop with Iris Xe', ['Intel(R) Iris(R) Xe Graphics (RPL-P)']],
  ['a PC with a 3090 beside a 3060', ['NVIDIA GeForce RTX 3090', 'NVIDIA GeForce RTX 3060']],
  ['a rig of which the first and the last GPU are lent', ['NVIDIA GeForce RTX 3090', 'NVIDIA GeForce RTX 3060']],
  ['a MacBook Pro with an Intel CPU', []],
])('the card of %s lists the GPUs that stages use', (name, gpus) => {
  expect(cardOf(machineOf(name)).gpus.map((gpu) => gpu.name)).toEqual(gpus);
});

describe('the layers of', () => {
  it.each<[model: string, Name, sizes: StageSizes, placed: Placed]>([
    [
      'a 40 GB model',
      'a rig with 2 × 3090 and 32 GB',
      modelOf({ layers: 80, size: 40, output: 0.75 }),
      { gpus: [41, 39], cpu: 0 },
    ],
    [
      'a 65 GB model',
      'a rig with 4 × 3090 and 64 GB',
      modelOf({ layers: 36, size: 65, output: 0.5 }),
      { gpus: [9, 9, 9, 9], cpu: 0 },
    ],
    [
      'a 20 GB model',
      'a PC whose integrated GPU comes before its 7900 XTX',
      modelOf({ layers: 64, size: 20 }),
      { gpus: [64], cpu: 0 },
    ],
    [
      'a 300 GB model',
      'a server with 8 × H100',
      modelOf({ layers: 96, size: 300 }),
      { gpus: [12, 12, 12, 12, 12, 12, 12, 12], cpu: 0 },
    ],
    ['a 30 GB model', 'a PC with a 3090 beside a 3060', modelOf({ layers: 60, size: 30 }), { gpus: [41, 19], cpu: 0 }],
    ['a 20 GB model', 'a PC with a 3090 beside a 3060', modelOf({ layers: 60, size: 20 }), { gpus: [42, 18], cpu: 0 }],
    ['a 60 GB model', 'an old server with 3 × P40', modelOf({ layers: 80, size: 60 }), { gpus: [27, 27, 26], cpu: 0 }],
    // The output matrix comes first: a vocabulary of 262k entries takes the room of several layers.
    [
      'a 5 GB model',
      'a laptop with a GTX 1650',
      modelOf({ layers: 32, size: 5, output: 0.4 }),
      { gpus: [14], cpu: 18 },
    ],
    [
      'a 5 GB model with a vast vocabulary',
      'a laptop with a GTX 1650',
      modelOf({ layers: 32, size: 5, output: 1 }),
      { gpus: [12], cpu: 20 },
    ],
    ['a 70 GB model', 'a rig with 2 × 3090 and 32 GB', modelOf({ layers: 80, size: 70 }), { gpus: [25, 25], cpu: 30 }],
    [
      'a 30 GB model',
      'a rig of which the first and the last GPU are lent',
      modelOf({ layers: 60, size: 30 }),
      { gpus: [41, 19], cpu: 0 },
    ],
    [
      'a 30 GB model',
      'a rig that fills its second GPU first',
      modelOf({ layers: 60, size: 30 }),
      { gpus: [44, 16], cpu: 0 },
    ],
    [
      'a 20 GB model',
      'a rig that fills its second GPU first',
      modelOf({ layers: 60, size: 20 }),
      { gpus: [60, 0], cpu: 0 },
    ],
    ['a 24 GB model', 'a rig with shares of its own', modelOf({ layers: 47, size: 24 }), { gpus: [36, 11], cpu: 0 }],
    ['a 5 GB model', 'a PC whose GPU a game fills', modelOf({ layers: 32, size: 5 }), { gpus: [0], cpu: 32 }],
    [
      'a 4 GB model',
      'a MacBook Air M2 with 16 GB and a busy browser',
      modelOf({ layers: 28, size: 4 }),
      { gpus: [28], cpu: 0 },
    ],
    ['a 100 GB model', 'a Strix Halo with 128 GB', modelOf({ layers: 48, size: 100 }), { gpus: [48], cpu: 0 }],
  ])('%s on %s', (_model, name, sizes, placed) => {
    expect(place(name, sizes)).toEqual(placed);
  });

  it('no model take more of a GPU than its room', () => {
    for (const machine of recordedMachines) {
      for (const size of [1, 4, 8, 20, 40, 70, 200]) {
        const { gpus, spread } = choiceOf(machine);
        const rooms = roomsOn(gpus);
        const { devices, parts } = chooseOffload(modelOf({ layers: 41, size, output: 0.3 }), { rooms, spread });
        expect(devices.reduce((sum, device) => sum + device.parts, 0)).toBe(parts);
        expect(devices.filter(({ bytes }, index) => bytes > (rooms[index] ?? Number.NaN))).toEqual([]);
      }
    }
  });
});

describe('wishes for GPUs', () => {
  const { gpus } = machineOf('a rig with 2 × 3090 and 32 GB');
  const refusal =
    (options: GpuOptions, backend = 'cuda') =>
    () =>
      applyGpuOptions(gpus, options, backend);

  it.each<[GpuOptions, string | undefined, RegExp]>([
    [{ gpus: [0, 2] }, undefined, /no GPU 2: this machine has 2 GPUs, numbers 0 to 1/],
    [{ tensorSplit: [1] }, undefined, /1 shares for 2 GPUs/],
    [{ tensorSplit: [0, 0] }, undefined, /gives no GPU anything/],
    [{ mainGpu: 1, tensorSplit: [1, 2] }, undefined, /--main-gpu does not go with --tensor-split/],
    [{ mainGpu: 1, gpus: [0] }, undefined, /--main-gpu 1 is not among the GPUs in use/],
    [{ splitMode: 'row' }, 'vulkan', /needs the cuda backend, not vulkan/],
    [{ splitMode: 'row', gpus: [1, 0] }, undefined, /CUDA_VISIBLE_DEVICES/],
  ])('are refused with the reason: %j', (options, backend, reason) => {
    expect(refusal(options, backend)).toThrow(reason);
  });

  it('spread rows by the memory of the GPUs, or as they say', () => {
    expect(applyGpuOptions(gpus, { splitMode: 'row' }, 'cuda')).toMatchObject({
      splitsRows: true,
      spread: { by: 'shares', shares: gpus.map(({ memoryBytes }) => memoryBytes) },
    });
    expect(applyGpuOptions(gpus, { splitMode: 'row', tensorSplit: [1, 3] }, 'cuda').spread).toEqual({
      by: 'shares',
      shares: [1, 3],
    });
  });
});
