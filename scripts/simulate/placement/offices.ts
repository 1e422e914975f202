import { plannedSpecSchema, type Card, type Hardware, type ModelManifest, type PlannedSpec } from '@skein/protocol';

import { cardOf, gibibyte, manifestOf, peerIdOf } from '../../../packages/coordinator/src/testing/fixtures.ts';

/** A machine of an office. */
interface Machine {
  readonly cpu: string;
  /** Free main memory, in GiB. */
  readonly main: number;
  /** Its GPU, by name, with its free memory in GiB. Default: none. */
  readonly gpu?: readonly [name: string, gib: number];
  readonly link?: { readonly roundTripMs: number; readonly bytesPerSecond: number };
}

/** Machines, and a model that they are to serve. */
export interface Office {
  readonly name: string;
  readonly cards: readonly Card[];
  readonly manifest: ModelManifest;
  readonly spec: PlannedSpec;
}

const gigabit = { roundTripMs: 0.4, bytesPerSecond: 115e6 };
const wireless = { roundTripMs: 5, bytesPerSecond: 30e6 };
const workstation: Machine = { cpu: 'AMD Ryzen 9', main: 48, gpu: ['NVIDIA GeForce RTX 4090', 24] };
const desktop: Machine = { cpu: 'Intel Core i7', main: 24, gpu: ['NVIDIA GeForce RTX 3060', 12] };
const storage: Machine = { cpu: 'Intel Xeon', main: 112 };
const laptop: Machine = { cpu: 'Intel Core i5', main: 12, link: wireless };

/** Machines as people have them: two with good GPUs, three with small ones, a large one without, and two laptops. */
const machines = [workstation, workstation, desktop, desktop, desktop, storage, laptop, laptop];

/** The offices that can be simulated: the same machines, with models of two sizes in 4 bits. */
export const offices: readonly Office[] = [
  officeOf('8B', { layers: 32, gib: 4.6, hiddenSize: 4096 }),
  officeOf('70B', { layers: 80, gib: 39.6, hiddenSize: 8192 }),
];

function officeOf(
  name: string,
  { layers, gib, hiddenSize }: { readonly layers: number; readonly gib: number; readonly hiddenSize: number },
): Office {
  const outputBytes = 0.08 * gib * gibibyte;
  const manifest = manifestOf({
    name,
    layers,
    layerBytes: (gib * gibibyte - outputBytes) / layers,
    outputBytes,
    embeddingBytes: outputBytes,
    shape: { hiddenSize, kvBytesPerTokenPerLayer: 4096, contextLength: 32_768, vocabularySize: 128_256 },
  });
  const spec = plannedSpecSchema.parse({ model: manifest.model, contextTokens: 16_384, sequences: 8 });
  return { name, cards: machines.map(cardOfMachine), manifest, spec };
}

function cardOfMachine({ cpu, main, gpu, link = gigabit }: Machine, index: number): Card {
  const memoryBytes = main * gibibyte;
  const hardware: Hardware = {
    platform: 'linux-x64',
    cpu,
    cores: 8,
    memoryBytes,
    freeMemoryBytes: memoryBytes,
    backend: gpu === undefined ? 'cpu' : 'cuda',
    gpus:
      gpu === undefined ? [] : [{ name: gpu[0], memoryBytes: gpu[1] * gibibyte, freeMemoryBytes: gpu[1] * gibibyte }],
  };
  const links = machines.flatMap((other, place) => {
    if (place === index) return [];
    // The slower end decides.
    const slower = other.link ?? link;
    return [{ ...(link === gigabit ? slower : link), peer: peerIdOf(place), measuredAt: 1 }];
  });
  return cardOf({ peer: peerIdOf(index), card: { hardware, links } });
}
