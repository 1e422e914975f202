import { getEventListeners } from 'node:events';

import type { Mesh } from '@skein/mesh';
import { Cluster } from '@skein/mesh/testing';
import { methods, packPrompt, SkeinError, type ErrorCode, type GenerationEvent } from '@skein/protocol';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { EnginesAtRisk } from './engines-at-risk.ts';
import type { GenerationUpdate } from './generate.ts';
import { GenerationRun, type FailedAttempt, type GenerationRunOptions, type ReplicaSource } from './generation-run.ts';

const request = {
  prompt: packPrompt({ type: 'text', text: 'Once' }),
  sampling: { temperature: 0, topP: 1, topK: 0, minP: 0, seed: 0 },
  stop: [],
};
const begin = { type: 'generation-begin', promptTokens: 1, promptHash: 'a'.repeat(64), maxTokens: 8 } as const;
const delta: GenerationUpdate = { type: 'text-delta', text: 'upon', tokens: [1] };
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
let seen: readonly FailedAttempt[];
/** Deployments with an attempt under way. */
let taken: string[];

beforeEach(async () => {
  cluster = new Cluster();
  member = await cluster.add();
  [asked, seen, taken] = [[], [], []];
});
afterEach(async () => await cluster[Symbol.asyncDispose]());

type Script = readonly (GenerationEvent | ErrorCode)[];

/** Leads by deployment: each sends the events of its script, and fails with the code that ends it. */
function answer(leads: Record<string, Script>): void {
  member.handle(methods.generate, async (stream) => {
    const { deployment } = ((await stream.read())?.header ?? {}) as { deployment: string };
    asked.push(deployment);
    for (const part of leads[deployment] ?? ['not-deployed']) {
      if (typeof part === 'string') throw new SkeinError(part, `${deployment} fails`);
      await stream.write(part);
    }
  });
}

const answers: Script = [begin, delta, end];

/** Takes the deployments one after the other, and then throws the last failure. */
function oneAfterTheOther(...deployments: readonly string[]): ReplicaSource {
  return {
    take(failed) {
      seen = [...failed];
      const deployment = deployments[failed.length];
      if (deployment === undefined) throw failed.at(-1)?.error ?? new SkeinError('not-deployed', 'nothing there');
      taken.push(deployment);
      return {
        deployment,
        lead: member.peerId,
        [Symbol.dispose]() {
          expect(taken).toContain(deployment);
          taken = taken.filter((other) => other !== deployment);
        },
      };
    },
  };
}

function run(replicas: ReplicaSource, options: Partial<GenerationRunOptions> = {}): GenerationRun {
  return new GenerationRun(member, { request, replicas, ...options });
}

/** Collects the updates of a run, and the error that ends it. */
async function outcome(generation: GenerationRun): Promise<{ types: string[]; code: string | undefined }> {
  const types: string[] = [];
  try {
    for await (const event of generation) types.push(event.type);
    return { types, code: undefined };
  } catch (error) {
    return { types, code: (error as SkeinError).code };
  }
}

test('goes on until a replica answers, and says which', async () => {
  answer({ first: ['stage-lost'], second: ['overloaded'], third: answers });
  const generation = run(oneAfterTheOther('first', 'second', 'third'));
  expect(generation.route).toBeUndefined();
  const events: GenerationUpdate[] = await Array.fromAsync(generation);
  expect(events).toEqual([begin, delta, end]);
  const route = { deployment: 'third', lead: member.peerId };
  expect(generation.route).toEqual(route);
  expect(await generation.begun).toEqual(route);
  expect(seen.map(({ deployment, error }) => [deployment, error.code])).toEqual([
    ['first', 'stage-lost'],
    ['second', 'overloaded'],
  ]);
});

test('says what there is to say when no replica is left', async () => {
  answer({ first: ['overloaded'] });
  const generation = run(oneAfterTheOther('first'));
  expect(await outcome(generation)).toEqual({ types: [], code: 'overloaded' });
  await expect(generation.begun).rejects.toMatchObject({ code: 'overloaded' });
});

test('asks nobody else for what every replica would refuse', async () => {
  answer({ first: ['context-length-exceeded'], second: answers });
  expect(await outcome(run(oneAfterTheOther('first', 'second')))).toMatchObject({ code: 'context-length-exceeded' });
  expect(asked).toEqual(['first']);
});

test('goes to another replica after one that has begun and said nothing', async () => {
  answer({ first: [begin, 'stage-lost'], second: answers });
  const types = ['generation-begin', 'generation-begin', 'text-delta', 'generation-end'];
  expect(await outcome(run(oneAfterTheOther('first', 'second')))).toEqual({ types, code: undefined });
});

test('does not start over once a piece of text has come', async () => {
  answer({ first: [begin, delta, 'stage-lost'], second: answers });
  const types = ['generation-begin', 'text-delta'];
  expect(await outcome(run(oneAfterTheOther('first', 'second')))).toEqual({ types, code: 'stage-lost' });
  expect(asked).toEqual(['first']);
});

test('holds one replica at a time, and none once it is over or left', async () => {
  answer({ first: [begin, 'stage-lost'], second: answers });
  const generation = run(oneAfterTheOther('first', 'second'));
  const held: string[][] = [];
  for await (const _ of generation) held.push([...taken]);
  expect(held).toEqual([['first'], ['second'], ['second'], ['second']]);
  expect(taken).toEqual([]);
  for await (const _ of run(oneAfterTheOther('second'))) break;
  expect(taken).toEqual([]);
});

test('leaves no listener on the signal of its caller', async () => {
  answer({ first: ['stage-lost'], second: answers });
  const signal = AbortSignal.any([new AbortController().signal]);
  await outcome(run(oneAfterTheOther('first', 'second'), { signal }));
  for await (const _ of run(oneAfterTheOther('second'), { signal })) break;
  await outcome(run(oneAfterTheOther('first'), { signal }));
  expect(getEventListeners(signal, 'abort')).toHaveLength(0);
});

test('asks nobody else for a caller that is gone', async () => {
  const caller = new AbortController();
  member.handle(methods.generate, async (stream) => {
    asked.push('somebody');
    caller.abort();
    await stream.read();
    throw new SkeinError('stage-lost', 'a stage was lost');
  });
  const left = run(oneAfterTheOther('first', 'second'), { signal: caller.signal });
  expect(await outcome(left)).toMatchObject({ code: 'aborted' });
  expect(asked).toHaveLength(1);
});

describe('a request that makes engines die', () => {
  const many = ['first', 'second', 'third', 'fourth'];

  test.each([
    ['before they have begun', ['stage-lost'], 'request-kills-engines'],
    ['after they have begun', [begin, 'stage-lost'], 'request-kills-engines'],
    ['with their machines', [begin, 'peer-lost'], 'peer-lost'],
  ] as const)('is tried on one other engine: %s', async (_, script, code) => {
    answer(Object.fromEntries(many.map((deployment) => [deployment, script])));
    expect(await outcome(run(oneAfterTheOther(...many)))).toMatchObject({ code });
    expect(asked).toEqual(['first', 'second']);
  });

  test('is not held to account for replicas that cannot be reached or have too much to do', async () => {
    answer({ first: ['peer-lost'], second: ['overloaded'], third: [begin, 'stage-lost'], fourth: answers });
    expect(await outcome(run(oneAfterTheOther(...many)))).toMatchObject({ code: undefined });
  });

  test('costs two engines with all its choices together', async () => {
    answer(Object.fromEntries(many.map((deployment) => [deployment, [begin, 'stage-lost']])));
    const engines = new EnginesAtRisk();
    const runs = [many, many.toReversed(), ['second', 'third']].map((order) =>
      run(oneAfterTheOther(...order), { engines }),
    );
    for (const { code } of await Promise.all(runs.map(outcome)))
      expect(code).toMatch(/stage-lost|request-kills-engines/);
    expect(new Set(asked).size).toBe(2);
  });
});
