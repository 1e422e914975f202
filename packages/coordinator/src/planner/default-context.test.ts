import { plannedSpecSchema } from '@skein/protocol';
import { expect, test } from 'vitest';

import { cardOf, gibibyte, manifestOf, mebibyte, peerIdOf } from '../testing/fixtures.ts';
import { planWithDefaultContext } from './default-context.ts';
import { plan } from './plan.ts';

const [ada, bob] = [peerIdOf(1), peerIdOf(2)];
/** A model with 8 KiB of keys and values a token, so that 128 Ki tokens take 1 GiB, and as much is not swapped out. */
const manifest = manifestOf({ layers: 8, shape: { kvBytesPerTokenPerLayer: 1024, contextLength: 131_072 } });
const spec = plannedSpecSchema.parse({ model: manifest.model, contextTokens: 4096 });
const most = 131_072;

const contextOn = (...freeBytes: number[]) => {
  const cards = freeBytes.map((bytes, index) => cardOf({ peer: [ada, bob][index] ?? '', freeBytes: bytes }));
  return planWithDefaultContext({ cards, manifest }, { spec, most });
};

test('is what the model was trained for where that takes little of the memory', () => {
  expect(contextOn(64 * gibibyte).contextTokens).toBe(131_072);
});

test('is a half, a quarter and so on of it where that takes more than a quarter of what is left', () => {
  const { contextTokens, plan: found } = contextOn(2 * gibibyte);
  expect(contextTokens).toBe(32_768);
  const [stage] = found.stages;
  const least = plan({ cards: [cardOf({ peer: ada, freeBytes: 2 * gibibyte })], manifest }, spec).stages[0];
  if (stage === undefined || least === undefined) throw new Error('there is a stage');
  expect(stage.bytes).toBeGreaterThan(least.bytes);
  expect(stage.bytes - least.bytes).toBeLessThanOrEqual((stage.roomBytes - least.bytes) / 4);
});

test('is the least where nothing is left', () => {
  expect(contextOn(300 * mebibyte).contextTokens).toBe(4096);
});

test('does not move a model to another machine, nor split it', () => {
  const small = manifestOf({ layers: 8, layerBytes: 100 * mebibyte, shape: manifest.shape });
  const cards = [cardOf({ peer: ada, freeBytes: 1.5 * gibibyte }), cardOf({ peer: bob, freeBytes: gibibyte })];
  const { plan: found } = planWithDefaultContext({ cards, manifest: small }, { spec, most });
  const least = plan({ cards, manifest: small }, spec);
  expect(found.stages.map(({ peer, block }) => [peer, block])).toEqual(
    least.stages.map(({ peer, block }) => [peer, block]),
  );
});
