import { expect, test } from 'vitest';

import { check } from '../validation/check.ts';
import {
  deploymentDefaults,
  deploymentRequestSchema,
  deploymentSpec,
  plannedSpec,
  plannedSpecSchema,
  type DeploymentOptions,
} from './spec.ts';

const model = 'a'.repeat(64);

test('fills in what a request leaves out, and nothing that is decided later', () => {
  const spec = deploymentSpec({}, model);
  expect(spec).toMatchObject({ model, sequences: 4, cacheType: 'f16', activations: 'f32' });
  for (const decidedLater of ['stages', 'layers', 'contextTokens', 'threads']) {
    expect(spec).not.toHaveProperty(decidedLater);
  }
});

test('keeps what a request says, under the hash of the model that it named', () => {
  const options = { stages: 2, layers: [3, 5], contextTokens: 512, sequences: 2, threads: 3 };
  const rounded = { cacheType: 'q8_0', activations: 'f16' } as const;
  const request = { model: 'tiny', ...options, ...rounded };
  expect(deploymentSpec(request, model)).toMatchObject({ model, ...options, ...rounded });
});

test.each([
  ['the default', {}, 8192, 4096],
  ['what the model was trained for, where that is less', {}, 2048, 2048],
  ['what was asked for, though the model was trained for less', { contextTokens: 5000 }, 2048, 5000],
])('decides the context: %s', (_, options, contextLength, contextTokens) => {
  expect(plannedSpec(deploymentSpec(options, model), { contextLength })).toMatchObject({ contextTokens });
});

test.each(['{"__proto__":"x"}', '{"zone":"eu","__proto__":"x"}', '{"Zone":"eu"}', '5', 'null'])(
  'loses no label without a word: %s',
  (labels) => {
    const request: unknown = JSON.parse(`{"model":"tiny","labels":${labels}}`);
    expect(check(deploymentRequestSchema, request).ok).toBe(false);
  },
);

test('gives a model that is not asked for more no more than it may have', () => {
  expect(plannedSpec(deploymentSpec({}, model), { contextLength: 8192 }, 1024)).toMatchObject({ contextTokens: 1024 });
});

test.each([
  [{ model: 'tiny', stages: 0 }, 'stages: expected a number of more than 0'],
  [{ model: 'tiny', layers: [5, 0] }, 'layers[1]: expected a number of more than 0'],
  [{ model: 'tiny', layers: Array.from({ length: 65 }, () => 1) }, 'layers: expected at most 64 items'],
  [{ model: 'tiny', layers: new Uint8Array(1) }, 'layers: expected an array'],
  [{ model: 'tiny', ropeScale: 0 }, 'ropeScale: expected a number of more than 0'],
  [{ model: 'tiny', chatTemplate: '' }, 'chatTemplate: expected at least 1 character'],
  [
    { model: 'tiny', metadataOverrides: ['a'] },
    'metadataOverrides[0]: expected key=int:1, key=float:0.5, key=bool:true or key=str:text',
  ],
  [{ model: 'tiny', sequences: 65 }, 'sequences: expected a number of at most 64'],
  [{ model: 'tiny', stagse: 2 }, 'expected known names only'],
  [{ stages: 2 }, 'model is missing: expected a string'],
])('refuses the request %j', (request, problem) => {
  expect(check(deploymentRequestSchema, request)).toMatchObject({ ok: false, problem });
});

test.each([
  [{ yarnBetaFast: 32 }, 'yarnBetaFast', '--rope-scaling yarn'],
  [{ yarnOriginalContext: 32, ropeScaling: 'linear' }, 'yarnOriginalContext', '--rope-scaling yarn'],
  [{ ropeScale: 4 }, 'ropeScale', '--rope-scaling'],
  [{ ropeScale: 4, ropeScaling: 'none' }, 'ropeScale', '--rope-scaling'],
  [{ metadataOverrides: ['llama.block_count=int:3'] }, 'metadataOverrides', 'leave it out'],
  [{ metadataOverrides: ['split.count=int:3'] }, 'metadataOverrides', 'leave it out'],
  [{ metadataOverrides: ['a=int:3', 'a=int:4'] }, 'metadataOverrides', 'give one value'],
] as const)('refuses %j, which does not go together', (options, param, fix) => {
  const wrong: DeploymentOptions = {
    ...options,
    ...('metadataOverrides' in options && { metadataOverrides: [...options.metadataOverrides] }),
  };
  expect(() => deploymentSpec(wrong, model)).toThrow(
    expect.objectContaining({
      code: 'invalid-request',
      message: expect.stringContaining(fix) as string,
      details: { param },
    }),
  );
});

test('takes options that go together', () => {
  const options = { ropeScaling: 'yarn', ropeScale: 4, yarnOriginalContext: 32_768 } as const;
  expect(deploymentSpec(options, model)).toMatchObject(options);
});

test('takes a stage from a coordinator that knows options which this build does not', () => {
  const spec = plannedSpecSchema.parse({ model, contextTokens: 512, futureOption: 'on' });
  expect(spec).toEqual({ ...deploymentDefaults, model, contextTokens: 512, microBatchRows: 128 });
  expect(plannedSpecSchema.safeParse({ model }).success).toBe(false);
});
