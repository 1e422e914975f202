import { expect, test } from 'vitest';

import { modelManifestSchema } from '../model/manifest.ts';
import { expertLayersIn, layerExpertBytes } from './experts.ts';

const sha256 = 'ab'.repeat(32);

test.each([
  ['blk.1.ffn_up_exps.weight', true],
  ['blk.1.ffn_gate_up_exps.weight', true],
  ['blk.1.ffn_down_chexps.weight', true],
  ['blk.1.ffn_down_exps.bias', true],
  ['blk.1.ffn_up_shexp.weight', false],
  ['blk.1.ffn_gate_inp.weight', false],
  ['blk.1.ffn_up.weight', false],
])('%s: it is %s that it holds experts', (name, holdsExperts) => {
  const manifest = modelManifestSchema.parse({
    model: sha256,
    bytes: 5,
    name: 'tiny',
    shape: {
      architecture: 'llama',
      layers: 2,
      hiddenSize: 8,
      vocabularySize: 8,
      contextLength: 8,
      kvBytesPerTokenPerLayer: 8,
      split: { allowed: true, multiple: 1 },
    },
    sections: [{ kind: 'tensor', name, offset: 0, bytes: 5, sha256, type: 0, shape: [5] }],
  });
  expect(layerExpertBytes(manifest)).toEqual([0, holdsExperts ? 5 : 0]);
});

test('the option counts the layers of the model, whatever block a stage has', () => {
  const counts = [
    { from: 0, to: 2 },
    { from: 2, to: 6 },
    { from: 6, to: 8 },
  ].map((block) => expertLayersIn(block, { cpuExpertLayers: 4 }));
  expect(counts).toEqual([2, 2, 0]);
  expect(expertLayersIn({ from: 2, to: 6 }, {})).toBeUndefined();
});
