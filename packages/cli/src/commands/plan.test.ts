import type { DescribedPlan, PlanAnswer } from '@skein/protocol';
import { expect, test } from 'vitest';

import { describeAnswer } from './plan.ts';

const whole: DescribedPlan = {
  stages: [
    {
      peer: 'peer-1',
      on: 'attic',
      block: { from: 0, to: 32 },
      bytes: 5 * 1024 ** 3,
      devices: [{ device: 'RTX 4090', bytes: 5 * 1024 ** 3 }],
    },
  ],
  prediction: {
    objective: 'saturated',
    oneStreamTokensPerSecond: 42.25,
    saturatedTokensPerSecond: 151,
    sequences: 4,
    prefillTokensPerSecond: 2000,
    ttftMs: 260,
    promptTokens: 512,
    isMeasured: true,
  },
  explanation: 'not split: attic has 22.0 GiB free of 5.0 GiB needed',
};

test('shows several replicas, what they give together, and what would make the rest fit', () => {
  const text = describeAnswer({
    model: 'a'.repeat(64),
    name: 'eight',
    contextTokens: 8192,
    plan: { ...whole, contextTokens: 8192 },
    further: [{ ...whole, contextTokens: 4096, explanation: 'not split: cellar has room' }],
    together: {
      replicas: 2,
      asked: 3,
      machines: 2,
      bytes: 10 * 1024 ** 3,
      sequences: 8,
      saturatedTokensPerSecond: 302,
      prefillTokensPerSecond: 4000,
    },
    problem: { code: 'does-not-fit', message: 'eight needs 5.0 GiB; 1.0 GiB short' },
    smallerContext: { contextTokens: 4096, replicas: 3 },
    alternatives: [],
  });
  for (const part of [
    'eight:\n  Replica 1, with 8192 tokens of context:\n  not split: attic has',
    'Replica 2, with 4096 tokens of context:\n  not split: cellar has room',
    'Together: 2 replicas on 2 machines, 10.0 GiB; 302 tokens/s for 8 streams; prompts at 4000 tokens/s',
    'Only 2 of 3 fit: eight needs 5.0 GiB; 1.0 GiB short',
    'With --ctx 4096, 3 of 3 fit.',
  ]) {
    expect(text).toContain(part);
  }
});

test('shows the plan, what else could be, and the mesh as it is', () => {
  const answer: PlanAnswer = {
    model: 'a'.repeat(64),
    name: 'eight',
    contextTokens: 8192,
    plan: whole,
    alternatives: [{ ...whole, explanation: 'split over 2 of 2 machines' }],
    now: { problem: { code: 'does-not-fit', message: 'eight needs 5.0 GiB' } },
  };
  const text = describeAnswer(answer);
  for (const part of [
    'eight, with 8192 tokens of context:',
    'not split: attic has',
    '42.3 tokens/s for one stream, 151 for 4 streams (planned for all together)',
    'prompts at 2000 tokens/s, 0.26 s to the first token after 512; by measured speeds',
    '5.0 GiB in RTX 4090',
    'Instead it could be:',
    'split over 2 of 2 machines',
    'As the mesh is now:\n  eight needs 5.0 GiB',
  ]) {
    expect(text).toContain(part);
  }
});
