import { methods, SkeinError, type ErrorCode } from '@skein/protocol';
import { afterEach, beforeEach, expect, test } from 'vitest';

import type { Mesh } from '../mesh.ts';
import { Cluster } from '../testing/cluster.ts';
import { generateSomewhere, type Refusal } from './generate-somewhere.ts';
import type { Route } from './least-loaded-lead.ts';

const request = {
  prompt: { type: 'text' as const, text: 'Once' },
  sampling: { temperature: 0, topP: 1, topK: 0, minP: 0, seed: 0 },
  stop: [],
};
const delta = { type: 'text-delta', text: 'upon', tokens: [1] } as const;
const end = {
  type: 'generation-end',
  finishReason: 'stop',
  usage: { promptTokens: 1, completionTokens: 1 },
  timings: { firstTokenMs: 1, decodeMs: 1 },
} as const;

let cluster: Cluster;
let member: Mesh;
/** Deployments that were asked, in order. */
let asked: string[];
let seen: readonly Refusal[];

beforeEach(async () => {
  cluster = new Cluster();
  member = await cluster.add();
  asked = [];
  seen = [];
});
afterEach(async () => await cluster[Symbol.asyncDispose]());

/** Leads by deployment: each refuses with a code, or answers in full, or fails after its first event. */
function answer(leads: Record<string, ErrorCode | 'answers' | 'breaks'>): void {
  member.handle(methods.generate, async (stream) => {
    const { deployment } = ((await stream.read())?.header ?? {}) as { deployment: string };
    asked.push(deployment);
    const script = leads[deployment] ?? 'not-deployed';
    if (script !== 'answers' && script !== 'breaks') throw new SkeinError(script, `${deployment} refuses`);
    await stream.write(delta);
    if (script === 'breaks') throw new SkeinError('stage-lost', 'a stage was lost');
    await stream.write(end);
  });
}

/** Chooses the deployments one after the other, and then throws the last refusal. */
function oneAfterTheOther(...deployments: readonly string[]) {
  return (refusals: readonly Refusal[]): Route => {
    seen = refusals;
    const deployment = deployments[refusals.length];
    if (deployment === undefined) throw refusals.at(-1)?.error ?? new SkeinError('not-deployed', 'nothing there');
    return { deployment, lead: member.peerId };
  };
}

test('goes on until a lead begins to answer, and says which', async () => {
  answer({ first: 'stage-lost', second: 'overloaded', third: 'answers' });
  const generation = await generateSomewhere(member, { choose: oneAfterTheOther('first', 'second', 'third'), request });
  expect(generation).toMatchObject({ deployment: 'third', lead: member.peerId });
  expect(await Array.fromAsync(generation.events)).toEqual([delta, end]);
  expect(asked).toEqual(['first', 'second', 'third']);
  expect(seen.map(({ deployment, error }) => [deployment, error.code])).toEqual([
    ['first', 'stage-lost'],
    ['second', 'overloaded'],
  ]);
});

test('throws what there is to say when no lead is left', async () => {
  answer({ first: 'overloaded' });
  const nobody = generateSomewhere(member, { choose: oneAfterTheOther('first'), request });
  await expect(nobody).rejects.toMatchObject({ code: 'overloaded' });
});

test('asks nobody else for what every lead would refuse', async () => {
  answer({ first: 'context-length-exceeded', second: 'answers' });
  const refused = generateSomewhere(member, { choose: oneAfterTheOther('first', 'second'), request });
  await expect(refused).rejects.toMatchObject({ code: 'context-length-exceeded' });
  expect(asked).toEqual(['first']);
});

test('does not start over once a lead has begun', async () => {
  answer({ first: 'breaks', second: 'answers' });
  const { events } = await generateSomewhere(member, { choose: oneAfterTheOther('first', 'second'), request });
  await expect(Array.fromAsync(events)).rejects.toMatchObject({ code: 'stage-lost' });
  expect(asked).toEqual(['first']);
});

test('asks nobody else for a caller that is gone', async () => {
  const caller = new AbortController();
  const choose = oneAfterTheOther('first', 'second');
  member.handle(methods.generate, async (stream) => {
    asked.push('somebody');
    caller.abort();
    await stream.read();
    throw new SkeinError('stage-lost', 'a stage was lost');
  });
  const left = generateSomewhere(member, { choose, request, signal: caller.signal });
  await expect(left).rejects.toMatchObject({ code: 'aborted' });
  expect(asked).toHaveLength(1);
});
