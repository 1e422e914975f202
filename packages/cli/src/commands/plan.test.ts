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
