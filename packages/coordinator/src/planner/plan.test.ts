import {
  invariant,
  isSkeinError,
  plannedSpecSchema,
  type CacheType,
  type Card,
  type ErrorCode,
  type PlannedSpec,
} from '@skein/protocol';
import { describe, expect, it } from 'vitest';

import { cardOf, gibibyte, manifestOf, mebibyte, peerIdOf, randomNumbers } from '../testing/fixtures.ts';
import { planWithDefaultContext } from './default-context.ts';
import { plan, type PlanSnapshot } from './plan.ts';
import { stageMemory } from './block-costs.ts';

const manifest = manifestOf();
const request = plannedSpecSchema.parse({ model: manifest.model, contextTokens: 1024 });
const [ada, bob, eve] = [peerIdOf(1), peerIdOf(2), peerIdOf(3)];

function failure(snapshot: PlanSnapshot, options: PlannedSpec): { code: ErrorCode | undefined; message: string } {
  try {
    plan(snapshot, options);
  } catch (error) {
    if (isSkeinError(error)) return { code: error.code, message: error.message };
  }
  return { code: undefined, message: 'planned' };
}

/** Makes the card of a peer with GPUs whose memory is all free. */
function gpuCardOf(machine: {
  peer: string;
  mainBytes: number;
  gpuBytes: readonly number[];
  isShared?: boolean;
}): Card {
  const { peer, mainBytes, gpuBytes, isShared = false } = machine;
  const card = cardOf({ peer, freeBytes: mainBytes });
  const gpus = gpuBytes.map((bytes) => ({
    name: 'gpu',
    memoryBytes: bytes,
    freeMemoryBytes: bytes,
    sharesMainMemory: isShared,
  }));
  const hardware = { ...invariant(card.hardware, 'the fixture has hardware'), backend: 'vulkan', gpus };
  return { ...card, hardware: { ...hardware, memoryBytes: Math.max(mainBytes, hardware.memoryBytes) } };
}

describe('GPUs', () => {
  const large = manifestOf({ layers: 8, layerBytes: 2 * gibibyte });

  it('hold a model before a machine with more main memory does', () => {
    const cards = [
      cardOf({ peer: ada, freeBytes: 16 * gibibyte }),
      gpuCardOf({ peer: bob, mainBytes: gibibyte, gpuBytes: [4 * gibibyte] }),
    ];
    expect(plan({ cards, manifest }, request).stages[0]?.peer).toBe(bob);
  });

  it('of two machines hold a model together before one computes part of it on its CPU', () => {
    const gpuBytes = [6 * gibibyte, 6 * gibibyte];
    const cards = [ada, bob].map((peer) => gpuCardOf({ peer, mainBytes: 16 * gibibyte, gpuBytes }));
    const blocks = plan({ cards, manifest: large }, request).stages.map(({ block }) => block.to - block.from);
    expect(blocks).toEqual([4, 4]);
  });

  it('and main memory hold what GPUs alone can not', () => {
    const cards = [gpuCardOf({ peer: ada, mainBytes: 12 * gibibyte, gpuBytes: [8 * gibibyte] }), cardOf({ peer: bob })];
    expect(plan({ cards, manifest: large }, request).stages).toMatchObject([{ peer: ada, block: { from: 0, to: 8 } }]);
  });

  it('that share main memory are no reason to prefer a machine', () => {
    const cards = [
      cardOf({ peer: ada, freeBytes: 16 * gibibyte }),
      gpuCardOf({ peer: bob, mainBytes: 8 * gibibyte, gpuBytes: [8 * gibibyte], isShared: true }),
    ];
    expect(plan({ cards, manifest }, request).stages[0]?.peer).toBe(ada);
  });
});

describe('a mixture of experts', () => {
  /** 8 layers of 2.25 GiB, of which 2 GiB are experts: 18 GiB, 16 of them experts. */
  const mixture = manifestOf({ layers: 8, layerBytes: gibibyte / 4, expertBytes: 2 * gibibyte });
  const needed = stageMemory(mixture, request);
  const roomy = cardOf({ peer: bob, freeBytes: 64 * gibibyte });
  const hardware = { ...invariant(roomy.hardware, 'the fixture has hardware'), memoryBytes: 64 * gibibyte };
  const large = { ...roomy, hardware };
  const gpuOf = (gpuGib: number, mainGib: number, peer = ada) =>
    gpuCardOf({ peer, mainBytes: mainGib * gibibyte, gpuBytes: [(gpuGib + 1) * gibibyte] });

  it('goes to the GPU that holds all but experts before a CPU that holds all', () => {
    const cards = [gpuOf(8, 16), large];
    const { stages, explanation, microBatchRows } = plan({ cards, manifest: mixture }, request);
    expect(stages).toMatchObject([{ peer: ada, bytes: needed({ from: 0, to: 8 }, 512) }]);
    // Beside 2 GiB of other weights and the buffers, 8 GiB hold the experts of 2 layers.
    expect(stages[0]?.roomBytes).toBe((8 + 6 * 2) * gibibyte);
    expect(explanation).toContain('the experts of 6 of its layers in main memory');
    expect(microBatchRows).toBe(512);
  });

  it('does not where main memory has no room for the experts, or the GPU none for the rest', () => {
    expect(plan({ cards: [gpuOf(8, 10), large], manifest: mixture }, request).stages[0]?.peer).toBe(bob);
    expect(plan({ cards: [gpuOf(2, 40), large], manifest: mixture }, request).stages[0]?.peer).toBe(bob);
  });

  it('goes to GPUs alone where these hold it, in two stages rather than with experts beside', () => {
    const cards = [gpuOf(12, 16), gpuOf(12, 16, eve), large];
    const { stages, explanation } = plan({ cards, manifest: mixture }, request);
    expect(stages.map(({ peer }) => peer).toSorted()).toEqual([ada, eve]);
    expect(explanation).not.toContain('experts');
  });

  it('is split over GPUs with the experts beside them that each needs', () => {
    const cards = [gpuOf(4, 8), gpuOf(4, 8, eve)];
    const { stages } = plan({ cards, manifest: mixture }, request);
    expect(stages.map(({ peer }) => peer).toSorted()).toEqual([ada, eve]);
    for (const { bytes, roomBytes } of stages) {
      expect(bytes).toBeLessThanOrEqual(roomBytes);
      expect(roomBytes).toBeLessThanOrEqual((4 + 8) * gibibyte);
    }
  });

  it('counts memory once that a GPU shares', () => {
    const card = gpuCardOf({ peer: ada, mainBytes: 16 * gibibyte, gpuBytes: [13 * gibibyte], isShared: true });
    const mac = { ...card, hardware: { ...invariant(card.hardware, 'it has hardware'), backend: 'metal' } };
    expect(plan({ cards: [mac, large], manifest: mixture }, request).stages[0]?.peer).toBe(bob);
    expect(failure({ cards: [mac], manifest: mixture }, request).code).toBe('does-not-fit');
    const small = manifestOf({ layers: 8, layerBytes: gibibyte / 4, expertBytes: gibibyte / 4 });
    const asked = plan({ cards: [mac], manifest: small }, { ...request, cpuExpertLayers: 8 });
    expect(asked.stages[0]?.peer).toBe(ada);
  });

  it('keeps the experts in main memory that were asked for, and needs room for them there', () => {
    const cpuExpertLayers = 8;
    const { stages, explanation } = plan(
      { cards: [gpuOf(24, 20), large], manifest: mixture },
      { ...request, cpuExpertLayers },
    );
    expect(stages).toMatchObject([{ peer: ada, roomBytes: (24 + 16) * gibibyte }]);
    expect(explanation).toContain('the experts of 8 of its layers');
    const tooMany = { ...request, cpuExpertLayers };
    expect(plan({ cards: [gpuOf(24, 12), large], manifest: mixture }, tooMany).stages[0]?.peer).toBe(bob);
    expect(failure({ cards: [gpuOf(24, 12)], manifest: mixture }, tooMany).message).toContain(
      'the experts of 8 layers of it in main memory',
    );
  });

  it('of which the first layers were asked for has none beside in stages behind them', () => {
    const cards = [gpuOf(24, 20), gpuOf(24, 20, eve)];
    const { explanation } = plan({ cards, manifest: mixture }, { ...request, layers: [4, 4], cpuExpertLayers: 4 });
    expect(explanation).toMatch(/layers 0-3 [^)]*the experts of 4 of its layers[^)]*\), layers 4-7 [^)]*free\)$/);
  });

  it('keeps its experts where they are for a larger context that nobody asked for', () => {
    const shape = { kvBytesPerTokenPerLayer: 4096, contextLength: 1_048_576 };
    const long = manifestOf({ layers: 8, layerBytes: gibibyte / 4, expertBytes: 2 * gibibyte, shape });
    const cards = [gpuOf(8, 16)];
    const least = plan({ cards, manifest: long }, { ...request, contextTokens: 4096 });
    const { plan: found, contextTokens } = planWithDefaultContext(
      { cards, manifest: long },
      { spec: { ...request, contextTokens: 4096 }, most: 1_048_576 },
    );
    expect(contextTokens).toBeGreaterThan(4096);
    for (const { explanation } of [least, found]) expect(explanation).toContain('the experts of 6 of its layers');
  });
});

describe('a model that fits on one peer', () => {
  it('goes to the peer with the most free memory', () => {
    const cards = [cardOf({ peer: ada, freeBytes: 2 * gibibyte }), cardOf({ peer: bob, freeBytes: 4 * gibibyte })];
    expect(plan({ cards, manifest }, request).stages).toMatchObject([{ peer: bob, block: { from: 0, to: 8 } }]);
  });

  it('goes to a holder before a peer with more memory', () => {
    const cards = [cardOf({ peer: ada, freeBytes: gibibyte, holds: [manifest] }), cardOf({ peer: bob })];
    expect(plan({ cards, manifest }, request).stages[0]?.peer).toBe(ada);
  });

  it('skips a holder that has no room', () => {
    const cards = [cardOf({ peer: ada, freeBytes: mebibyte, holds: [manifest] }), cardOf({ peer: bob })];
    expect(plan({ cards, manifest }, request).stages[0]?.peer).toBe(bob);
  });

  it('gets its second replica on another peer than the first', () => {
    const stage = { deployment: 'deployment-1', model: manifest.model, name: manifest.name, stage: 0, stages: 1 };
    const numbers = { contextTokens: 1024, sequences: 4, bytes: 0, active: 0, queued: 0 };
    const stages = [{ ...stage, ...numbers, block: { from: 0, to: 8 }, state: 'ready' as const }];
    const holder = cardOf({ peer: ada, holds: [manifest], card: { stages } });
    const cards = [holder, cardOf({ peer: bob, freeBytes: gibibyte })];
    expect(plan({ cards, manifest }, request).stages[0]?.peer).toBe(bob);
    expect(plan({ cards: [holder], manifest }, request).stages[0]?.peer).toBe(ada);
    // With one replica each, the third goes to the holder; with one more there, the fourth to the other.
    const serving = (count: number) =>
      stages.flatMap((one) =>
        Array.from({ length: count }, (_, index) => ({ ...one, deployment: `deployment-${index}` })),
      );
    const other = cardOf({ peer: bob, freeBytes: gibibyte, card: { stages: serving(1) } });
    expect(plan({ cards: [holder, other], manifest }, request).stages[0]?.peer).toBe(ada);
    const busier = cardOf({ peer: ada, holds: [manifest], card: { stages: serving(2) } });
    expect(plan({ cards: [busier, other], manifest }, request).stages[0]?.peer).toBe(bob);
  });

  it('is split all the same when stages are asked for', () => {
    const cards = [cardOf({ peer: ada }), cardOf({ peer: bob })];
    const { stages, explanation } = plan({ cards, manifest }, { ...request, stages: 2 });
    expect(stages.map((stage) => stage.block)).toEqual([
      { from: 0, to: 4 },
      { from: 4, to: 8 },
    ]);
    expect(explanation).toContain('layers 0-3');
  });

  it('counts the free memory of a GPU', () => {
    const cards = [
      gpuCardOf({ peer: ada, mainBytes: mebibyte, gpuBytes: [2 * gibibyte] }),
      cardOf({ peer: bob, freeBytes: mebibyte }),
    ];
    expect(plan({ cards, manifest }, request).stages[0]?.peer).toBe(ada);
  });

  it('keeps away from memory that stages take which are still loading', () => {
    const cards = [cardOf({ peer: ada, holds: [manifest] }), cardOf({ peer: bob })];
    const other = {
      deployment: 'deployment-1',
      model: 'ab'.repeat(32),
      stage: 0,
      bytes: 8 * gibibyte,
    };
    const placed = [{ ...other, peer: ada }];
    expect(plan({ cards, manifest, placed }, request).stages[0]?.peer).toBe(bob);
  });

  it('goes to a machine that serves it not yet, though no card tells so', () => {
    const cards = [cardOf({ peer: ada, holds: [manifest] }), cardOf({ peer: bob, freeBytes: 2 * gibibyte })];
    const { model } = manifest;
    const placed = [{ peer: ada, deployment: 'deployment-1', model, stage: 0, bytes: mebibyte }];
    expect(plan({ cards, manifest }, request).stages[0]?.peer).toBe(ada);
    expect(plan({ cards, manifest, placed }, request).stages[0]?.peer).toBe(bob);
  });
});

describe('a model that fits on no single peer', () => {
  const large = manifestOf({ name: 'large', layers: 32, layerBytes: 100 * mebibyte });

  it('is split over the fewest peers, as evenly as their memory allows', () => {
    const cards = [
      cardOf({ peer: ada, freeBytes: gibibyte }),
      cardOf({ peer: bob, freeBytes: 3 * gibibyte }),
      cardOf({ peer: eve, freeBytes: 1.2 * gibibyte }),
    ];
    const { stages } = plan({ cards, manifest: large }, request);
    expect(stages.map(({ peer, block }) => [peer, block.to - block.from])).toEqual([
      [bob, 21],
      [eve, 11],
    ]);
  });

  it('leaves the tail fewer layers, since it computes the output matrix, too', () => {
    const wide = manifestOf({ layers: 8, layerBytes: 300 * mebibyte, outputBytes: 600 * mebibyte });
    const cards = [cardOf({ peer: ada, freeBytes: 2 * gibibyte }), cardOf({ peer: bob, freeBytes: 2 * gibibyte })];
    expect(plan({ cards, manifest: wide }, request).stages.map(({ block }) => block.to)).toEqual([5, 8]);
  });

  it('has the layers that were asked for', () => {
    const cards = [cardOf({ peer: ada, freeBytes: gibibyte }), cardOf({ peer: bob, freeBytes: 4 * gibibyte })];
    const { stages, explanation } = plan({ cards, manifest: large }, { ...request, layers: [3, 29] });
    expect(stages.map(({ peer, block }) => [peer, block.to - block.from])).toEqual([
      [ada, 3],
      [bob, 29],
    ]);
    expect(explanation).toContain('as asked for');
    expect(plan({ cards, manifest: large }, { ...request, layers: [32] }).stages).toMatchObject([{ peer: bob }]);
    expect(failure({ cards, manifest: large }, { ...request, layers: [16, 16] }).code).toBe('does-not-fit');
  });

  it.each([
    [{ layers: [16, 15] }, /16 \+ 15 is 31, but it has 32 layers/],
    [{ layers: [32, 0] }, /at least one layer/],
    [{ layers: [16, 16], stages: 3 }, /layers for 2 stages were named, but 3 stages asked for/],
  ])('is refused for %j', (wrong, reason) => {
    const cards = [cardOf({ peer: ada }), cardOf({ peer: bob })];
    const { code, message } = failure({ cards, manifest: large }, { ...request, ...wrong });
    expect(code).toBe('invalid-request');
    expect(message).toMatch(reason);
  });

  it('is not cut between layers that belong together', () => {
    const paired = manifestOf({ layers: 8, shape: { split: { allowed: true, multiple: 2 } } });
    const cards = [cardOf({ peer: ada }), cardOf({ peer: bob })];
    expect(failure({ cards, manifest: paired }, { ...request, layers: [3, 5] }).message).toMatch(/multiple of 2/);
  });

  it('puts the tail where the output matrix fits', () => {
    const wide = manifestOf({ layers: 4, layerBytes: 100 * mebibyte, embeddingBytes: 0, outputBytes: 500 * mebibyte });
    const cards = [cardOf({ peer: ada, freeBytes: 750 * mebibyte }), cardOf({ peer: bob, freeBytes: 450 * mebibyte })];
    expect(plan({ cards, manifest: wide }, request).stages.map((stage) => stage.peer)).toEqual([bob, ada]);
  });

  it('is refused with the numbers when all peers together are too small', () => {
    const cards = [cardOf({ peer: ada, freeBytes: gibibyte }), cardOf({ peer: bob, freeBytes: gibibyte })];
    const { code, message } = failure({ cards, manifest: large }, request);
    expect(code).toBe('does-not-fit');
    expect(message).toMatch(/needs 3\.\d GiB.*1\.0 GiB are free, 1\.\d GiB short.*join another machine; one with 8 GB/);
  });

  it('says why it is not split when it cannot be', () => {
    const whole = manifestOf({
      layers: 32,
      layerBytes: 100 * mebibyte,
      shape: { split: { allowed: false, reason: 'its layers are one' } },
    });
    const cards = [cardOf({ peer: ada, freeBytes: 2 * gibibyte }), cardOf({ peer: bob, freeBytes: 2 * gibibyte })];
    expect(failure({ cards, manifest: whole }, request)).toMatchObject({ code: 'does-not-fit' });
    expect(failure({ cards, manifest: whole }, request).message).toContain('its layers are one');
    expect(failure({ cards, manifest: whole }, { ...request, stages: 2 }).code).toBe('split-unsupported');
  });
});

it('takes about half of the memory for a cache in q8_0, and for what is swapped out of it', () => {
  const model = manifestOf({ shape: { kvBytesPerTokenPerLayer: 1024 } });
  const block = { from: 0, to: 8 };
  const bytesWith = (cacheType: CacheType) =>
    stageMemory(model, { contextTokens: 1024, sequences: 4, cacheType })(block);
  const swapTokens = 1024;
  const f16Bytes = 1024 * 8 * (1024 + swapTokens);
  expect(bytesWith('f16')).toBe(bytesWith('f16'));
  expect(bytesWith('f16') - bytesWith('q8_0')).toBe(f16Bytes * (1 - 34 / 64));
});

describe('a windowed cache', () => {
  const shape = { kvBytesPerTokenPerLayer: 1024, slidingWindow: { tokens: 128, period: 4 } };
  const windowed = { ...request, contextTokens: 16_384, sequences: 4, windowedCache: true };

  it('takes the window of each sequence and a micro-batch in layers that have one, and nothing is swapped out of it', () => {
    const block = { from: 0, to: 8 };
    const full = stageMemory(manifestOf({ shape }), { ...windowed, windowedCache: false })(block);
    const saved = full - stageMemory(manifestOf({ shape }), windowed)(block);
    const swapped = 8 * 16_384 * 1024;
    expect(saved).toBe(6 * (16_384 - (4 * 128 + 512)) * 1024 + swapped);
  });

  it('is refused for a model without windows, with what to leave out', () => {
    const { code, message } = failure({ cards: [cardOf({ peer: ada })], manifest }, windowed);
    expect(code).toBe('invalid-request');
    expect(message).toContain('--window-cache');
  });
});

it('refuses to keep experts of a model that has none, with what to leave out', () => {
  const { code, message } = failure({ cards: [cardOf({ peer: ada })], manifest }, { ...request, cpuExpertLayers: 2 });
  expect(code).toBe('invalid-request');
  expect(message).toContain('--cpu-moe');
});

describe('micro-batches', () => {
  const roomy = { mainBytes: 8 * gibibyte, gpuBytes: [8 * gibibyte] };
  const wide = manifestOf({ layers: 8, shape: { hiddenSize: 4096, vocabularySize: 128_000 } });
  const memory = stageMemory(wide, request);
  const whole = { from: 0, to: 8 };

  it('are larger where all stages have a GPU, with the buffers for them', () => {
    const onGpu = plan({ cards: [gpuCardOf({ peer: ada, ...roomy })], manifest: wide }, request);
    const onCpu = plan({ cards: [cardOf({ peer: ada })], manifest: wide }, request);
    expect(onGpu.microBatchRows).toBe(512);
    expect(onCpu.microBatchRows).toBe(128);
    expect(onCpu.stages[0]?.bytes).toBe(memory(whole));
    const rowBytes = (16 * 4096 + request.contextTokens) * 4;
    expect(onGpu.stages[0]?.bytes).toBe(memory(whole) + (512 - 128) * rowBytes);
  });

  it('are those of a CPU where one stage has no GPU', () => {
    const split = { ...request, stages: 2 };
    const gpuCards = [ada, bob].map((peer) => gpuCardOf({ peer, ...roomy }));
    expect(plan({ cards: gpuCards, manifest: wide }, split).microBatchRows).toBe(512);
    const mixed = plan({ cards: [...gpuCards.slice(0, 1), cardOf({ peer: bob })], manifest: wide }, split);
    expect(mixed.microBatchRows).toBe(128);
    expect(mixed.stages.map(({ bytes }) => bytes)).toEqual(mixed.stages.map(({ block }) => memory(block)));
  });

  it('are those of a CPU on a GPU that has no room for the buffers of larger ones', () => {
    const gpuBytes = [memory(whole, 300) + gibibyte];
    const { stages, microBatchRows } = plan(
      { cards: [gpuCardOf({ peer: ada, mainBytes: mebibyte, gpuBytes })], manifest: wide },
      request,
    );
    expect(microBatchRows).toBe(128);
    expect(stages).toMatchObject([{ block: whole, bytes: memory(whole) }]);
  });
});

describe('which peers are usable', () => {
  it('leaves out members without hardware or without the peer role', () => {
    const { hardware: _, ...withoutHardware } = cardOf({ peer: ada });
    const client = cardOf({ peer: bob, card: { roles: ['client', 'coordinator'] } });
    expect(failure({ cards: [withoutHardware, client], manifest }, request).code).toBe('no-peers');
  });

  it('refuses more stages than peers', () => {
    const { code, message } = failure({ cards: [cardOf({ peer: ada })], manifest }, { ...request, stages: 2 });
    expect(code).toBe('no-peers');
    expect(message).toContain('only 1 machine can serve');
  });

  it('refuses more stages than the model has cuts', () => {
    const coarse = manifestOf({ shape: { split: { allowed: true, multiple: 6 } } });
    const cards = [1, 2, 3].map((number) => cardOf({ peer: peerIdOf(number) }));
    expect(failure({ cards, manifest: coarse }, { ...request, stages: 3 }).code).toBe('split-unsupported');
  });
});

describe('models and peers of any size', () => {
  const rounds = Array.from({ length: 500 }, (_, seed) => randomRound(seed));
  const outcomes = rounds.map((round) => ({
    ...round,
    outcome: failure(round.snapshot, round.options).code ?? 'planned',
  }));
  const planned = outcomes.flatMap(({ snapshot, options, outcome }) =>
    outcome === 'planned' ? [{ snapshot, options, result: plan(snapshot, options) }] : [],
  );

  it('are planned or refused with a reason', () => {
    const seen = new Set(outcomes.map(({ outcome }) => outcome));
    expect([...seen].sort()).toEqual(['does-not-fit', 'no-peers', 'planned', 'split-unsupported']);
    expect(planned.length).toBeGreaterThan(100);
  });

  it('are planned alike whatever the order of the cards', () => {
    for (const { snapshot, options, result } of planned) {
      expect(plan({ ...snapshot, cards: snapshot.cards.toReversed() }, options)).toEqual(result);
    }
  });

  it('get every layer once, cut where it is allowed', () => {
    for (const { snapshot, options, result } of planned) {
      const { shape } = snapshot.manifest;
      const multiple = shape.split.allowed ? shape.split.multiple : shape.layers;
      const ends = result.stages.map(({ block }) => block.to);
      expect(result.stages.map(({ block }) => block.from)).toEqual([0, ...ends.slice(0, -1)]);
      expect(ends.at(-1)).toBe(shape.layers);
      expect(ends.slice(0, -1).filter((end) => end % multiple !== 0)).toEqual([]);
      expect(result.stages.filter(({ block }) => block.to <= block.from)).toEqual([]);
      expect(result.stages).toHaveLength(options.stages ?? result.stages.length);
    }
  });

  it('never take more than a peer has, nor a peer twice', () => {
    for (const { snapshot, result } of planned) {
      const memory = stageMemory(snapshot.manifest, request);
      expect(new Set(result.stages.map(({ peer }) => peer)).size).toBe(result.stages.length);
      for (const { peer, block, bytes } of result.stages) {
        expect(bytes).toBe(memory(block));
        const hardware = snapshot.cards.find((card) => card.peer === peer)?.hardware;
        expect(bytes).toBeLessThanOrEqual(hardware?.freeMemoryBytes ?? 0);
      }
    }
  });
});

function randomRound(seed: number): { snapshot: PlanSnapshot; options: PlannedSpec } {
  const random = randomNumbers(seed);
  const upTo = (greatest: number) => 1 + Math.floor(random() * greatest);
  const layers = upTo(40);
  const model = manifestOf({
    layers,
    layerBytes: Array.from({ length: layers }, () => upTo(300) * mebibyte),
    embeddingBytes: upTo(500) * mebibyte,
    ...(random() < 0.5 ? {} : { outputBytes: upTo(500) * mebibyte }),
    shape: { split: { allowed: true, multiple: upTo(4) } },
  });
  const cards = Array.from({ length: upTo(5) }, (_, index) =>
    cardOf({ peer: peerIdOf(index), freeBytes: upTo(4096) * mebibyte, holds: random() < 0.3 ? [model] : [] }),
  );
  const stages = random() < 0.5 ? undefined : upTo(4);
  return { snapshot: { cards, manifest: model }, options: { ...request, stages } };
}
