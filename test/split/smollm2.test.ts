import { fromText, packPrompt, type Prompt } from '@skein/protocol';
import { generate } from '@skein/serving';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { startCluster, type Cluster } from '../../scripts/cluster/cluster.ts';
import { defaultModelFile } from '../../scripts/cluster/models.ts';
import { prompts, systemPrompt } from '../support/prompts.ts';

/**
 * The promise of a split, on the real model: the same words as from one machine. Members of the mesh over TCP, one of
 * which has the model, engines in processes of their own.
 */
let cluster: Cluster | undefined;
let unreachable = '';
/** Answers of the whole model, one request at a time. */
let whole: readonly Answer[] = [];

beforeAll(async () => {
  const model = await defaultModelFile();
  if ('unreachable' in model) {
    unreachable = model.unreachable;
    return;
  }
  cluster = await startCluster({ peers: 3, models: [model.path] });
  whole = await answersOf(cluster, 1);
}, 180_000);

afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]();
});

const greedy = { temperature: 0, topP: 1, topK: 0, minP: 0, seed: 0 };

const chat = (question: string): Prompt => ({
  type: 'chat',
  messages: [fromText({ role: 'system', content: systemPrompt }), fromText({ role: 'user', content: question })],
});

interface Answer {
  readonly text: string;
  readonly tokens: readonly number[];
  readonly promptTokens: number | undefined;
}

async function ask({ coordinatorMesh, coordinator }: Cluster, deployment: string, question: string): Promise<Answer> {
  const lead = coordinator.deployments.list().find(({ id }) => id === deployment)?.stages[0]?.peer ?? '';
  const request = { deployment, prompt: packPrompt(chat(question)), sampling: greedy, maxTokens: 24, stop: [] };
  let text = '';
  const tokens: number[] = [];
  let promptTokens: number | undefined;
  for await (const event of generate(coordinatorMesh, lead, request)) {
    if (event.type === 'text-delta') {
      text += event.text;
      tokens.push(...event.tokens);
    } else if (event.type === 'generation-end') ({ promptTokens } = event.usage);
  }
  return { text, tokens, promptTokens };
}

async function answersOf(running: Cluster, stages: number): Promise<Answer[]> {
  const { id } = await running.coordinator.deployments.deploy({ model: 'smollm2-135m-instruct', stages });
  try {
    const answers: Answer[] = [];
    for (const prompt of prompts) answers.push(await ask(running, id, prompt));
    return answers;
  } finally {
    await running.coordinator.deployments.undeploy(id);
  }
}

describe('SmolLM2 split over peers', () => {
  it('is compared with answers that make sense, one of them to a long prompt', ({ skip }) => {
    if (cluster === undefined) return skip(unreachable);
    expect(whole[0]?.text).toContain('Paris');
    expect(whole.at(-1)?.promptTokens).toBeGreaterThan(250);
    return undefined;
  });

  it('answers token for token as the whole model does, with 2 and with 3 stages', async ({ skip }) => {
    if (cluster === undefined) return skip(unreachable);
    expect(whole[0]?.text).toContain('Paris');
    expect(whole.at(-1)?.promptTokens).toBeGreaterThan(250);
    expect(await answersOf(cluster, 2)).toEqual(whole);
    expect(await answersOf(cluster, 3)).toEqual(whole);
    return undefined;
  }, 180_000);

  it('gives clients at once, token for token, what each gets alone', async ({ skip }) => {
    if (cluster === undefined) return skip(unreachable);
    const { id } = await cluster.coordinator.deployments.deploy({ model: 'smollm2-135m-instruct', stages: 2 });
    const together = await Promise.all(prompts.map(async (prompt) => (cluster ? ask(cluster, id, prompt) : undefined)));
    await cluster.coordinator.deployments.undeploy(id);
    expect(together).toEqual(whole);
    return undefined;
  }, 180_000);
});
