import { plannedSpecSchema, type Card, type Hardware, type Link, type ModelManifest } from '@skein/protocol';
import { describe, expect, it } from 'vitest';

import { cardOf, gibibyte, heldStageOf, manifestOf, peerIdOf } from '../testing/fixtures.ts';
import { plan, planWithAlternatives } from './plan.ts';

/** Layers, bytes of one layer and of the output matrix, hidden size: a model that people run, in 4 bits. */
interface KnownModel {
  readonly layers: number;
  readonly gib: number;
  readonly hiddenSize: number;
  /** Share of the model that is experts, and how many of 64 a token passes through. Default: none. */
  readonly experts?: { readonly share: number; readonly used: number };
}

const llama8b: KnownModel = { layers: 32, gib: 4.6, hiddenSize: 4096 };
const llama70b: KnownModel = { layers: 80, gib: 39.6, hiddenSize: 8192 };

function modelOf({ layers, gib, hiddenSize, experts }: KnownModel): ModelManifest {
  const outputBytes = 0.08 * gib * gibibyte;
  const layerBytes = (gib * gibibyte - outputBytes) / layers;
  const { share = 0 } = experts ?? {};
  return manifestOf({
    name: `model-of-${gib}-gib`,
    layers,
    layerBytes: layerBytes * (1 - share),
    ...(experts !== undefined && { expertBytes: layerBytes * share }),
    outputBytes,
    embeddingBytes: outputBytes,
    shape: {
      hiddenSize,
      kvBytesPerTokenPerLayer: 4096,
      contextLength: 8192,
      vocabularySize: 128_256,
      ...(experts !== undefined && { experts: { count: 64, used: experts.used } }),
    },
  });
}

interface Machine {
  readonly name: string;
  readonly cpu?: string;
  readonly cores?: number;
  /** Free main memory, in GiB. */
  readonly main: number;
  /** GPUs with memory of their own, by name, with free memory in GiB. */
  readonly gpus?: readonly (readonly [name: string, gib: number])[];
  /** Memory of an Apple chip, in GiB, which its GPU shares. */
  readonly unified?: number;
}

/** Makes the cards of machines that reach each other over one kind of link. */
function cardsOf(machines: readonly Machine[], link?: Omit<Link, 'peer' | 'measuredAt'>): readonly Card[] {
  return machines.map(({ name, cpu = 'AMD Ryzen 7', cores = 8, main, gpus = [], unified }, index) => {
    const memoryBytes = Math.max(main, unified ?? 0) * gibibyte;
    const gpu = (gpuName: string, gib: number) => ({
      name: gpuName,
      memoryBytes: gib * gibibyte,
      freeMemoryBytes: gib * gibibyte,
    });
    const hardware: Hardware = {
      platform: 'linux-x64',
      cpu,
      cores,
      memoryBytes,
      freeMemoryBytes: memoryBytes,
      backend: unified !== undefined ? 'metal' : gpus.length > 0 ? 'cuda' : 'cpu',
      gpus:
        unified !== undefined
          ? [{ ...gpu(cpu, 0.75 * unified), sharesMainMemory: true }]
          : gpus.map(([gpuName, gib]) => gpu(gpuName, gib)),
    };
    const links = machines.flatMap((_, other) =>
      link === undefined || other === index ? [] : [{ ...link, peer: peerIdOf(other), measuredAt: 1 }],
    );
    return cardOf({ peer: peerIdOf(index), card: { name, hardware, links } });
  });
}

const gigabit = { roundTripMs: 0.4, bytesPerSecond: 115e6 };

function planned(
  machines: readonly Machine[],
  known: KnownModel,
  options: { link?: typeof gigabit; sequences?: number } = {},
) {
  const manifest = modelOf(known);
  const cards = cardsOf(machines, options.link ?? gigabit);
  const spec = plannedSpecSchema.parse({
    model: manifest.model,
    contextTokens: 4096,
    sequences: options.sequences ?? 4,
  });
  const found = planWithAlternatives({ cards, manifest }, spec);
  const nameOf = (peer: string) => cards.find((card) => card.peer === peer)?.name;
  return {
    ...found.plan,
    alternatives: found.alternatives,
    machines: found.plan.stages.map(({ peer }) => nameOf(peer)),
    layersOn: (name: string) =>
      found.plan.stages
        .filter(({ peer }) => nameOf(peer) === name)
        .reduce((sum, { block }) => sum + block.to - block.from, 0),
  };
}

const rtx4090 = { gpus: [['NVIDIA GeForce RTX 4090', 24]] as const };

describe.each([1, 4])('with %i streams', (sequences) => {
  it('a model that fits one machine is not split: prima.cpp runs 8B on one of its four home machines', () => {
    // Li et al., PRIMA.CPP (arXiv 2504.08791), table 1: an M1, a laptop with a 3070, a desktop with a 2080 Ti, a phone.
    const { stages, machines, explanation } = planned(
      [
        { name: 'mac', cpu: 'Apple M1', main: 0, unified: 8 },
        { name: 'laptop', cpu: 'Intel Core i9', main: 8, gpus: [['NVIDIA GeForce RTX 3070 Laptop GPU', 8]] },
        { name: 'desktop', cpu: 'Intel Core i9', cores: 16, main: 10, gpus: [['NVIDIA GeForce RTX 2080 Ti', 11]] },
        { name: 'phone', cpu: 'Kirin 990', main: 6 },
      ],
      llama8b,
      { link: { roundTripMs: 5, bytesPerSecond: 40e6 }, sequences },
    );
    expect(stages).toHaveLength(1);
    expect(machines).toEqual(['desktop']);
    expect(explanation).toMatch(/^not split/);
  });

  it('one Mac beats two and three: exo measured 80 to 89 tokens a second on one, 68 on two', () => {
    const macs = ['one', 'two', 'three'].map((name) => ({ name, cpu: 'Apple M4 Pro', main: 0, unified: 24 }));
    const small = { layers: 16, gib: 0.8, hiddenSize: 2048 };
    const { stages, prediction, alternatives } = planned(macs, small, {
      link: { roundTripMs: 1, bytesPerSecond: 100e6 },
      sequences,
    });
    expect(stages).toHaveLength(1);
    const speeds = [prediction, ...alternatives.map((other) => other.prediction)].map(
      (one) => one.oneStreamTokensPerSecond,
    );
    expect(speeds).toEqual(speeds.toSorted((first, second) => second - first));
    expect(speeds).toHaveLength(3);
  });

  it('8B goes to the 4090, not to the machine with 128 GB', () => {
    const { machines } = planned(
      [
        { name: 'nas', main: 120 },
        { name: 'gaming', main: 28, ...rtx4090 },
      ],
      llama8b,
      { sequences },
    );
    expect(machines).toEqual(['gaming']);
  });

  it('70B over two PCs with a 4090 lies in both cards, though a third machine has room for all of it', () => {
    const { machines, stages } = planned(
      [
        { name: 'nas', main: 120 },
        { name: 'left', main: 60, ...rtx4090 },
        { name: 'right', main: 60, ...rtx4090 },
      ],
      { ...llama70b, gib: 37 },
      { sequences },
    );
    expect(new Set(machines)).toEqual(new Set(['left', 'right']));
    for (const { devices } of stages) expect(devices.map(({ device }) => device)).toEqual(['NVIDIA GeForce RTX 4090']);
  });

  it('of a 4090 and an old machine the old one gets the fewest layers that make it fit', () => {
    const model = { layers: 48, gib: 26, hiddenSize: 6144 };
    const { layersOn, stages } = planned(
      [
        { name: 'gaming', main: 1, ...rtx4090 },
        { name: 'old', cpu: 'Intel Core i5-4460', cores: 4, main: 14 },
      ],
      model,
      { sequences },
    );
    expect(stages).toHaveLength(2);
    const gaming = stages.find(({ block }) => block.to - block.from === layersOn('gaming'));
    const perLayer = ((model.gib * gibibyte) / model.layers) * 0.92;
    // One layer more would not fit on the card and in what main memory is left beside it.
    expect((gaming?.bytes ?? 0) + 2 * perLayer).toBeGreaterThan(gaming?.roomBytes ?? 0);
    expect(layersOn('old')).toBeLessThan(10);
  });
});

it('reproduces the order of Mesh-LLM: 68 tokens a second on one machine, 21 over two in a LAN, 12 over three', () => {
  // Mesh-LLM's README: GLM-4.7-Flash-Q4_K_M (17 GB) on an M4 Max; split 85/15 with an M4 mini, over Wi-Fi; and three machines.
  const glm: KnownModel = { layers: 47, gib: 17, hiddenSize: 2048, experts: { share: 0.9, used: 4 } };
  const machines = [
    { name: 'studio', cpu: 'Apple M4 Max', main: 0, unified: 64 },
    { name: 'mini', cpu: 'Apple M4', main: 0, unified: 16 },
    { name: 'second', cpu: 'Apple M4', main: 0, unified: 16 },
  ];
  const {
    stages,
    machines: chosen,
    prediction,
    alternatives,
  } = planned(machines, glm, { link: { roundTripMs: 6, bytesPerSecond: 30e6 }, sequences: 1 });
  expect(stages).toHaveLength(1);
  expect(chosen).toEqual(['studio']);
  const [two, three] = alternatives.map((other) => other.prediction.oneStreamTokensPerSecond);
  expect(prediction.oneStreamTokensPerSecond).toBeGreaterThan(1.2 * (two ?? Infinity));
  expect(two).toBeGreaterThan(three ?? Infinity);
});

it('splits over two of four machines, not over all', () => {
  const { stages, explanation } = planned(
    ['one', 'two', 'three', 'four'].map((name) => ({ name, main: 24 })),
    llama70b,
  );
  expect(stages).toHaveLength(2);
  expect(explanation).toMatch(/^split over 2 of 4 machines, since none has room for all of it/);
});

it('prefers a machine that measured itself faster to one that its name calls so', () => {
  const manifest = modelOf(llama8b);
  const spec = plannedSpecSchema.parse({ model: manifest.model, contextTokens: 4096 });
  const [named, measured] = cardsOf([
    { name: 'named', main: 16 },
    { name: 'measured', main: 16 },
  ]);
  if (named === undefined || measured?.hardware === undefined) throw new Error('there are two cards');
  const speeds = [
    {
      backend: 'cpu',
      layerBytes: 1e8,
      layerWeights: 1.8e8,
      decodeBytesPerSecond: 90e9,
      prefillFlops: 2e12,
      prefillRows: 16,
    },
  ];
  const cards = [named, { ...measured, hardware: { ...measured.hardware, speeds } }];
  expect(plan({ cards, manifest }, spec).stages[0]?.peer).toBe(measured.peer);
});

it('corrects a prediction by what replicas on that machine have had', () => {
  const manifest = modelOf(llama8b);
  const spec = plannedSpecSchema.parse({ model: manifest.model, contextTokens: 4096 });
  const [card] = cardsOf([{ name: 'one', main: 16 }]);
  if (card?.hardware === undefined) throw new Error('there is a card');
  const before = plan({ cards: [card], manifest }, spec).prediction;
  const slower = { ...card, hardware: { ...card.hardware, ratios: { whole: 0.8, split: 2 } } };
  const after = plan({ cards: [slower], manifest }, spec).prediction;
  expect(after.oneStreamTokensPerSecond).toBeCloseTo(0.8 * before.oneStreamTokensPerSecond);
  expect(after.saturatedTokensPerSecond).toBeCloseTo(0.8 * before.saturatedTokensPerSecond);
});

it('spreads further replicas by speed once every machine serves the model', () => {
  const manifest = modelOf(llama8b);
  const spec = plannedSpecSchema.parse({ model: manifest.model, contextTokens: 4096 });
  const cards = cardsOf([
    { name: 'fast', cpu: 'AMD EPYC', cores: 16, main: 64 },
    { name: 'slow', main: 120 },
  ]);
  const chosen: (string | undefined)[] = [];
  for (let replica = 0; replica < 5; replica += 1) {
    const serving = cards.map((card, index) => ({
      ...card,
      stages: chosen
        .filter((peer) => peer === peerIdOf(index))
        .map((_, one) => ({ ...heldStageOf(`deployment-${one}`), model: manifest.model, bytes: 6 * gibibyte })),
    }));
    chosen.push(plan({ cards: serving, manifest }, spec).stages[0]?.peer);
  }
  const [fast, slow] = [peerIdOf(0), peerIdOf(1)];
  expect(chosen.slice(0, 2)).toEqual([fast, slow]);
  // It is three times as fast, so it gets the next ones.
  expect(chosen.slice(2, 4)).toEqual([fast, fast]);
});
