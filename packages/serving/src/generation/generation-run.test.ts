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
const begin = { type: 'generation-begin', promptTokens: 1, promptHash: 'a'.repeat(64), maxTokens: 500 } as const;
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
/** Requests that they got. */
let requests: Record<string, unknown>[];
let seen: readonly FailedAttempt[];
/** Deployments with an attempt under way. */
let taken: string[];

beforeEach(async () => {
  cluster = new Cluster();
  member = await cluster.add();
  [asked, requests, seen, taken] = [[], [], [], []];
});
afterEach(async () => await cluster[Symbol.asyncDispose]());

/** A turn that nobody waits for. */
const noTurn = async (): Promise<Disposable> => await Promise.resolve(new DisposableStack());

type Script = readonly (GenerationEvent | ErrorCode)[];

/** Leads by deployment: each sends the events of its script, and fails with the code that ends it. */
function answer(leads: Record<string, Script>): void {
  member.handle(methods.generate, async (stream) => {
    const header = ((await stream.read())?.header ?? {}) as { deployment: string };
    const { deployment } = header;
    asked.push(deployment);
    requests.push(header);
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
        observe: () => undefined,
        readingTurn: noTurn,
        [Symbol.dispose]() {
          expect(taken).toContain(deployment);
          taken = taken.filter((other) => other !== deployment);
        },
      };
    },
    follower: () => undefined,
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

describe('an answer whose replica is lost', () => {
  /** Pieces of text, each of as many tokens as characters. */
  const texts = (...pieces: readonly string[]): Script =>
    pieces.map((text) => ({ type: 'text-delta', text, tokens: Array.from(text, (letter) => letter.charCodeAt(0)) }));
  const long = 'twenty tokens, and no fewer';

  test('goes on at the very token', async () => {
    const held: GenerationUpdate = { type: 'text-delta', text: '', tokens: [7], mu: 5 };
    answer({ first: [begin, ...texts('up'), held, 'stage-lost'], second: [begin, ...texts('on'), end] });
    const events = await Array.fromAsync(run(oneAfterTheOther('first', 'second')));
    const usage = { ...end.usage, failovers: 1, pauseMs: expect.any(Number) as number };
    expect(events).toEqual([
      begin,
      ...texts('up'),
      held,
      begin,
      ...texts('on'),
      {
        ...end,
        usage,
        timings: { firstTokenMs: expect.any(Number) as number, decodeMs: expect.any(Number) as number },
      },
    ]);
    const resume = { promptHash: begin.promptHash, tokens: [117, 112, 7], emittedCharacters: 2, mu: 5 };
    expect(requests[0]).not.toHaveProperty('resume');
    expect(requests[1]).toMatchObject({ deployment: 'second', maxTokens: begin.maxTokens, resume });
    expect(requests[1]?.askedAt).toBe(requests[0]?.askedAt);
  });

  test('is complete when only its end was missing', async () => {
    answer({ first: [begin, delta, 'peer-lost'], second: [begin, end] });
    expect(await Array.fromAsync(run(oneAfterTheOther('first', 'second')))).toMatchObject([
      begin,
      delta,
      begin,
      { type: 'generation-end', usage: { failovers: 1 } },
    ]);
  });

  test('goes on as often as replicas are lost, each at another place', async () => {
    const lost: Script = [begin, ...texts(long), 'stage-lost'];
    answer({ first: lost, second: lost, third: lost, fourth: [begin, end] });
    const events = await Array.fromAsync(run(oneAfterTheOther('first', 'second', 'third', 'fourth')));
    expect(events.at(-1)).toMatchObject({ usage: { failovers: 3 } });
    expect((requests[3] as { resume: { tokens: number[] } }).resume.tokens).toHaveLength(3 * long.length);
  });

  test('tries a replica that was overloaded once more, now that it has grown', async () => {
    const leads: Record<string, Script> = { first: ['overloaded'], second: [begin, ...texts(long), 'stage-lost'] };
    answer(leads);
    const replicas: ReplicaSource = {
      take(failed) {
        if (failed.some(({ hasAdded }) => hasAdded)) leads.first = answers;
        const deployment = ['first', 'second'].find((name) => !failed.some((one) => one.deployment === name)) ?? 'none';
        return {
          deployment,
          lead: member.peerId,
          observe: () => undefined,
          readingTurn: noTurn,
          [Symbol.dispose]: () => undefined,
        };
      },
      follower: () => undefined,
    };
    expect(await outcome(run(replicas))).toMatchObject({ code: undefined });
    expect(asked).toEqual(['first', 'second', 'first']);
  });

  test('ends with what was delivered when there is no other', async () => {
    answer({ first: [begin, delta, 'stage-lost'] });
    await expect(Array.fromAsync(run(oneAfterTheOther('first')))).rejects.toMatchObject({
      code: 'stage-lost',
      message: 'first fails, and there is no other replica to go on with; 1 token of the answer had been delivered',
      details: { deliveredTokens: 1 },
    });
  });

  test('ends with why no other could go on', async () => {
    answer({ first: [begin, delta, delta, 'stage-lost'], second: ['overloaded'] });
    await expect(Array.fromAsync(run(oneAfterTheOther('first', 'second')))).rejects.toMatchObject({
      code: 'stage-lost',
      message: 'first fails, and no other replica could go on: second fails; 2 tokens of the answer had been delivered',
    });
  });

  test.each(['invalid-request', 'context-length-exceeded'] as const)(
    'goes to a third replica when the second refuses to continue it: %s',
    async (code) => {
      answer({ first: [begin, delta, 'stage-lost'], second: [code], third: answers });
      expect(await outcome(run(oneAfterTheOther('first', 'second', 'third')))).toMatchObject({ code: undefined });
    },
  );

  test('does not start over where its lead does not say how to continue', async () => {
    answer({ first: [delta, 'stage-lost'], second: answers });
    expect(await outcome(run(oneAfterTheOther('first', 'second')))).toEqual({
      types: ['text-delta'],
      code: 'stage-lost',
    });
    expect(asked).toEqual(['first']);
  });

  test('is not tried a third time where two engines died at one place', async () => {
    answer({ first: [begin, ...texts(long), 'stage-lost'], second: [begin, delta, 'stage-lost'], third: answers });
    await expect(Array.fromAsync(run(oneAfterTheOther('first', 'second', 'third')))).rejects.toMatchObject({
      code: 'request-kills-engines',
      details: { deliveredTokens: long.length + 1 },
    });
    expect(asked).toEqual(['first', 'second']);
  });

  test('is no longer than was asked for, and ends where a lead sends more', async () => {
    const more: Script = [{ ...begin, maxTokens: 3 }, ...texts('up', 'on'), end];
    answer({ first: more, second: answers });
    const generation = run(oneAfterTheOther('first', 'second'), { request: { ...request, maxTokens: 3 } });
    const types = ['generation-begin', 'text-delta'];
    expect(await outcome(generation)).toEqual({ types, code: 'protocol-violation' });
    expect(asked).toEqual(['first']);
  });

  test('is handed over as often as leads like, and costs no engine', async () => {
    const leads = ['first', 'second', 'first', 'second', 'first', 'last'];
    const handsOver: Script = [begin, delta, 'handed-over'];
    answer({ first: handsOver, second: handsOver, last: [begin, end] });
    const replicas: ReplicaSource = {
      take: () => ({
        deployment: leads[asked.length] ?? 'none',
        lead: member.peerId,
        observe: () => undefined,
        readingTurn: noTurn,
        [Symbol.dispose]: () => undefined,
      }),
      follower: () => undefined,
    };
    const engines = new EnginesAtRisk();
    const events = await Array.fromAsync(run(replicas, { engines }));
    expect(asked).toEqual(leads);
    expect(events.at(-1)).toMatchObject({ usage: { failovers: 5 } });
    expect(requests.every(({ mayHandOver }) => mayHandOver === true)).toBe(true);
    expect(engines.dead.size).toBe(0);
  });

  test.each([
    [[begin, delta, 'handed-over'], '; 1 token of the answer had been delivered'],
    [[begin, 'handed-over'], ''],
  ] as const)('that is handed over is not deployed where nobody takes it', async (script, delivered) => {
    answer({ first: script });
    await expect(Array.fromAsync(run(oneAfterTheOther('first')))).rejects.toMatchObject({
      code: 'not-deployed',
      message: `first fails, and there is no other replica to go on with${delivered}`,
    });
  });

  test('costs four engines at most, wherever they died', async () => {
    const many = ['first', 'second', 'third', 'fourth', 'fifth'];
    answer(Object.fromEntries(many.map((name) => [name, [begin, ...texts(long), 'stage-lost'] as Script])));
    expect(await outcome(run(oneAfterTheOther(...many)))).toMatchObject({ code: 'request-kills-engines' });
    expect(asked).toEqual(many.slice(0, 4));
  });
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

test('continues the answer of an earlier run, and takes it elsewhere from there', async () => {
  answer({ first: [begin, { ...delta, tokens: [3] }, 'stage-lost'], second: [begin, end] });
  const resume = { promptHash: begin.promptHash, tokens: [1, 2], emittedCharacters: 8 };
  const asked = { ...request, maxTokens: 500, resume };
  const generation = run(oneAfterTheOther('first', 'second'), { request: asked });
  expect((await outcome(generation)).code).toBeUndefined();
  expect(requests).toMatchObject([
    { maxTokens: 500, resume },
    { maxTokens: 500, resume: { tokens: [1, 2, 3], emittedCharacters: 12 } },
  ]);
});

describe('an answer that is read along', () => {
  /** Texts that were read along, by deployment. */
  let read: { readonly deployment: string; readonly tokens: readonly number[]; readonly moves?: boolean }[];
  /** Resolves when a lead is given up. */
  let leftBy: PromiseWithResolvers<string>;

  beforeEach(() => {
    [read, leftBy] = [[], Promise.withResolvers()];
    member.handle(methods.readAlong, async (stream) => {
      const { header } = (await stream.read()) ?? {};
      const { deployment, tokens, moves } = header as (typeof read)[number];
      if (deployment === 'deaf') throw new SkeinError('invalid-request', 'keeps nothing');
      read.push({ deployment, tokens, ...(moves !== undefined && { moves }) });
      if (deployment === 'frail') throw new SkeinError('stage-lost', 'the engine died over it');
      await stream.write({ type: 'read-along-end', cachedTokens: 0 });
    });
  });

  /** Answers with one token after the other, once `first` has sent `before` events until it is given up. */
  function endless(before: readonly GenerationEvent[], after: (sent: number) => ErrorCode | undefined): void {
    member.handle(methods.generate, async (stream) => {
      const header = ((await stream.read())?.header ?? {}) as { deployment: string; resume?: { tokens: number[] } };
      const { deployment, resume } = header;
      asked.push(deployment);
      requests.push(header);
      if (resume !== undefined) {
        for (const event of [begin, delta, end]) await stream.write(event);
        return;
      }
      try {
        for (const event of before) await stream.write(event);
        for (let sent = 0; ; sent += 1) {
          const code = after(sent);
          if (code !== undefined) throw new SkeinError(code, 'the first one ends');
          await stream.write(delta);
          await new Promise(setImmediate);
        }
      } finally {
        leftBy.resolve(deployment);
      }
    });
  }

  const leaving: GenerationEvent = { type: 'generation-leaving', forMs: 60_000 };

  test('moves from a lead that leaves when another one has read it, and each token comes once', async () => {
    endless([begin, delta, leaving], () => undefined);
    const events = await Array.fromAsync(run(oneAfterTheOther('first', 'second')));
    expect(await leftBy.promise).toBe('first');
    expect(asked).toEqual(['first', 'second']);
    expect(requests[0]).toMatchObject({ mayHandOver: true, hearsLeaving: true });
    const { resume } = requests[1] as { resume: { tokens: number[] } };
    expect(events.filter(({ type }) => type === 'text-delta')).toHaveLength(resume.tokens.length + 1);
    expect(read.every(({ deployment, moves }) => deployment === 'second' && moves === true)).toBe(true);
    expect(resume.tokens.length - (read.at(-1)?.tokens.length ?? NaN)).toBeLessThanOrEqual(8);
    expect(events.at(-1)).toMatchObject({ usage: { failovers: 1 } });
    expect(taken).toEqual([]);
  });

  test.each([
    ['reads nothing along', 'deaf'],
    ['is not there', undefined],
  ])('stays with a lead that leaves until that ends it, where the other one %s', async (_, other) => {
    endless([begin, delta, leaving], (sent) => (sent === 50 ? 'handed-over' : undefined));
    const generation = run(other === undefined ? oneAfterTheOther('first') : oneAfterTheOther('first', other));
    const { code } = await outcome(generation);
    expect(code).toBe(other === undefined ? 'not-deployed' : undefined);
    expect(generation.transcript.tokens).toBe(other === undefined ? 51 : 52);
    expect(taken).toEqual([]);
  });

  test('goes on first at the replica that has read it, when its own is lost', async () => {
    endless([{ ...begin, promptTokens: 1000 }, delta], () => (read.length > 0 ? 'stage-lost' : undefined));
    const source = oneAfterTheOther('first', 'second');
    const preferred: (string | undefined)[] = [];
    const told: [string, number][] = [];
    const generation = run({
      take: (failed, prefer) => {
        preferred.push(prefer?.deployment);
        return source.take(failed);
      },
      follower: () => ({ deployment: 'second', lead: member.peerId }),
      // Told before the lead has anything of it.
      readsAlong: ({ deployment }) => told.push([deployment, read.length]),
    });
    const events = await Array.fromAsync(generation);
    expect(events.at(-1)).toMatchObject({ usage: { failovers: 1 } });
    expect(read[0]).toEqual({ deployment: 'second', tokens: expect.any(Array) as number[] });
    expect(preferred).toEqual([undefined, 'second']);
    expect(told[0]).toEqual(['second', 0]);
  });

  test('costs no third engine where the one that reads it along dies, too', async () => {
    endless([{ ...begin, promptTokens: 1000 }, delta], () => (read.length > 0 ? 'stage-lost' : undefined));
    const follower = () => ({ deployment: 'frail', lead: member.peerId });
    const { code } = await outcome(run({ ...oneAfterTheOther('first', 'second'), follower }));
    expect(code).toBe('request-kills-engines');
    expect(asked).toEqual(['first']);
  });
});
