import { SkeinError, stepSchema } from '@skein/protocol';
import { describe, expect, it } from 'vitest';

import { Scheduler, type ScheduledStep, type SchedulerOptions } from './scheduler.ts';
import { SchedulerDriver, type Asked } from './test-support/scheduler-driver.ts';

const sampling = { temperature: 0, topP: 1, topK: 0, minP: 0, seed: 0 };

const options: SchedulerOptions = {
  stages: 1,
  sequences: 4,
  slots: 4,
  contextTokens: 100,
  batchTokens: 8,
  chunkTokens: 8,
  draftTokens: 8,
  rewinds: true,
  swapTokens: 0,
  stepCosts: [],
  maxQueued: 2,
};

function driver(overrides: Partial<SchedulerOptions> = {}): SchedulerDriver {
  return new SchedulerDriver({ ...options, ...overrides });
}

function request(prompt: number, count: number): Asked {
  return { prompt: Array.from({ length: prompt }, (_, index) => index), sampling, speculates: false, count };
}

function due(scheduled: ScheduledStep | undefined): ScheduledStep {
  if (scheduled === undefined) throw new Error('no step was due');
  return scheduled;
}

/** Answers a step as a tail would: one token per sampled entry. */
function answer(subject: SchedulerDriver, { step }: ScheduledStep, token: number): void {
  subject.complete(
    step.step,
    step.entries.filter(({ sample }) => sample).map(({ sequence }) => ({ sequence, tokens: [token] })),
  );
}

describe('the sequence scheduler', () => {
  it('prefills, then decodes one token at a time, and frees the sequence at its end', () => {
    const subject = driver();
    const watched = subject.add(request(3, 2));
    const prefill = due(subject.next());
    expect(prefill.step.entries).toEqual([{ sequence: 0, position: 0, count: 3, sample: true }]);
    expect([...prefill.tokens]).toEqual([0, 1, 2]);
    answer(subject, prefill, 41);
    const decode = due(subject.next());
    expect(decode.step.entries).toEqual([{ sequence: 0, position: 3, count: 1, sample: true }]);
    expect([...decode.tokens]).toEqual([41]);
    answer(subject, decode, 42);
    expect(watched.received).toEqual([41, 42]);
    expect(subject.scheduler.active).toBe(0);
    expect(subject.next()).toBeUndefined();
  });

  it('has work left while a step is under way, even when nobody waits for it any more', () => {
    const subject = driver();
    expect(subject.scheduler.isIdle).toBe(true);
    const sequence = subject.add(request(3, 2));
    expect(subject.scheduler.isIdle).toBe(false);
    const prefill = due(subject.next());
    subject.cancel(sequence);
    expect(subject.scheduler.isIdle).toBe(false);
    answer(subject, prefill, 41);
    expect(subject.scheduler.isIdle).toBe(true);
  });

  it('cuts a long prompt into micro-batches and samples after the last', () => {
    const subject = driver({ stages: 3 });
    subject.add(request(20, 1));
    const steps = [due(subject.next()), due(subject.next()), due(subject.next())];
    expect(steps.flatMap(({ step }) => step.entries)).toEqual([
      { sequence: 0, position: 0, count: 8, sample: false },
      { sequence: 0, position: 8, count: 8, sample: false },
      { sequence: 0, position: 16, count: 4, sample: true },
    ]);
    expect(subject.next()).toBeUndefined();
  });

  it('reads a long prompt in tiles, and what is left of it by rows', () => {
    const subject = driver({ stages: 4, tiles: { rows: 10, from: 30 }, chunkTokens: 6 });
    subject.add(request(31, 1));
    const steps = [due(subject.next()), due(subject.next()), due(subject.next()), due(subject.next())];
    expect(steps.flatMap(({ step }) => step.entries)).toEqual([
      { sequence: 0, position: 0, count: 10, sample: false },
      { sequence: 0, position: 10, count: 10, sample: false },
      { sequence: 0, position: 20, count: 10, sample: false },
      { sequence: 0, position: 30, count: 1, sample: true },
    ]);
  });

  it('reads the last token of a prompt by rows, as it will be when all before it comes from the cache', () => {
    const subject = driver({ stages: 5, tiles: { rows: 10, from: 30 }, chunkTokens: 6 });
    subject.add(request(30, 1));
    const steps = Array.from({ length: 4 }, () => due(subject.next()));
    expect(steps.flatMap(({ step }) => step.entries.map(({ count }) => count))).toEqual([10, 10, 6, 4]);
  });

  it('reads by rows where little of a long prompt is left to be read', () => {
    const subject = driver({ tiles: { rows: 10, from: 30 } });
    subject.add(request(25, 1));
    for (const token of [1, 1, 1, 1]) answer(subject, due(subject.next()), token);
    subject.add(request(40, 1));
    expect(due(subject.next()).step.entries).toEqual([{ sequence: 0, position: 25, count: 8, sample: false }]);
  });

  it('lets nobody else into a tile, and alternates between tiles and the others', () => {
    const subject = driver({ tiles: { rows: 10, from: 30 } });
    subject.add(request(1, 9));
    answer(subject, due(subject.next()), 1);
    subject.add(request(40, 1));
    const batches = Array.from({ length: 4 }, () => {
      const scheduled = due(subject.next());
      answer(subject, scheduled, 1);
      return scheduled.step.entries.map(({ sequence, count }) => [sequence, count]);
    });
    expect(batches).toEqual([[[0, 1]], [[1, 10]], [[0, 1]], [[1, 10]]]);
  });

  it('has as many micro-batches in flight as there are stages, each with a fair share of the sequences', () => {
    const subject = driver({ stages: 2 });
    for (let index = 0; index < 4; index += 1) subject.add(request(1, 5));
    const first = due(subject.next());
    const second = due(subject.next());
    const sequences = [first, second].map(({ step }) => step.entries.map(({ sequence }) => sequence));
    expect(sequences.map((list) => list.length)).toEqual([2, 2]);
    expect(new Set(sequences.flat()).size).toBe(4);
    expect(subject.next()).toBeUndefined();
  });

  it('has one more chunk of a prompt in flight than there are stages', () => {
    const subject = driver({ stages: 2 });
    subject.add(request(40, 1));
    const steps = [due(subject.next()), due(subject.next()), due(subject.next())];
    expect(steps.map(({ step }) => step.entries[0]?.position)).toEqual([0, 8, 16]);
    expect(subject.next()).toBeUndefined();
    answer(subject, steps[0] ?? due(undefined), 7);
    expect(due(subject.next()).step.entries[0]?.position).toBe(24);
  });

  it('clears a freed slot before the next sequence gets it', () => {
    const subject = driver({ sequences: 1, slots: 1, rewinds: false });
    subject.add(request(2, 1));
    subject.add(request(2, 1));
    answer(subject, due(subject.next()), 7);
    const next = due(subject.next()).step;
    expect(next.operations[0]).toEqual({ type: 'remove', sequence: 0, from: 0 });
    expect(next.entries[0]).toMatchObject({ sequence: 0, position: 0 });
  });

  it('lets a sequence wait until there is room for its prompt and a few tokens', () => {
    const subject = driver({ rewinds: false });
    subject.add(request(60, 8));
    subject.add(request(20, 60));
    subject.next();
    expect([subject.scheduler.active, subject.scheduler.queued]).toEqual([1, 1]);
  });

  it('refuses what can never fit, and more than may wait', () => {
    const subject = driver({ sequences: 1, maxQueued: 1 });
    expect(() => subject.add(request(50, 51))).toThrow(expect.objectContaining({ code: 'context-length-exceeded' }));
    subject.add(request(1, 1));
    subject.add(request(1, 1));
    expect(() => subject.add(request(1, 1))).toThrow(expect.objectContaining({ code: 'overloaded' }));
  });

  it('takes answers that other leads had begun before new ones, each in their order', () => {
    const subject = driver({ sequences: 1, maxQueued: 2 });
    subject.add(request(1, 1));
    const first = due(subject.next());
    const continued = (): Asked => ({ ...request(1, 1), resume: { tokens: [5] } });
    const fresh = [subject.add(request(1, 1)), subject.add(request(1, 1))];
    const moved = [subject.add(continued()), subject.add(continued())];
    expect(() => subject.add(continued())).toThrow(expect.objectContaining({ code: 'overloaded' }));
    answer(subject, first, 7);
    for (const asked of [...moved, ...fresh]) {
      answer(subject, due(subject.next()), 7);
      expect(asked.received).toEqual([7]);
    }
  });

  it('keeps to what a step may hold, however many sequences come and go while the ring is full', () => {
    const subject = driver({ stages: 1 });
    subject.add(request(20, 5));
    const blocking = due(subject.next());
    for (let round = 0; round < 500; round += 1) subject.cancel(subject.add(request(1, 1)));
    answer(subject, blocking, 1);
    expect(stepSchema.safeParse(due(subject.next()).step).success).toBe(true);
  });

  it('admits those behind a cancelled one that was waiting for room', () => {
    const subject = driver({ rewinds: false });
    subject.add(request(60, 20));
    const large = subject.add(request(60, 20));
    subject.add(request(5, 5));
    expect([subject.scheduler.active, subject.scheduler.queued]).toEqual([1, 2]);
    subject.cancel(large);
    expect([subject.scheduler.active, subject.scheduler.queued]).toEqual([2, 0]);
  });

  it('refuses a sequence without a token, which would never end', () => {
    expect(() => driver().add(request(0, 5))).toThrow(expect.objectContaining({ code: 'invalid-request' }));
  });

  it('drops the token of a cancelled sequence that was on its way, and serves the others', () => {
    const subject = driver();
    const [cancelled, other] = [subject.add(request(2, 5)), subject.add(request(2, 5))];
    const step = due(subject.next());
    subject.cancel(cancelled);
    answer(subject, step, 9);
    expect([cancelled.received, other.received]).toEqual([[], [9]]);
    expect(subject.scheduler.active).toBe(1);
  });

  it('ends just the sequences of a failed step', () => {
    const subject = driver({ stages: 2 });
    const [first, second] = [subject.add(request(1, 5)), subject.add(request(1, 5))];
    const failed = due(subject.next());
    const good = due(subject.next());
    subject.fail(failed.step.step, new SkeinError('engine-failed', 'broken'), { answerIsDue: false });
    answer(subject, good, 5);
    expect([first.errors.length, second.errors.length]).toEqual([1, 0]);
    expect(second.received).toEqual([5]);
  });

  it('keeps the place of a failed step in the ring until its answer has come', () => {
    const subject = driver();
    subject.add(request(1, 5));
    const failed = due(subject.next());
    subject.fail(failed.step.step, new SkeinError('engine-failed', 'broken'), { answerIsDue: true });
    subject.add(request(1, 5));
    expect(subject.next()).toBeUndefined();
    subject.complete(failed.step.step, []);
    expect(subject.next()).toBeDefined();
  });

  it('refuses an answer that nobody asked for', () => {
    const subject = driver();
    subject.add(request(1, 1));
    const { step } = due(subject.next());
    expect(() => subject.complete(step.step + 1, [{ sequence: 0, tokens: [1] }])).toThrow(
      expect.objectContaining({ code: 'protocol-violation' }),
    );
  });

  it('takes nothing of an answer of which a part was not asked for', () => {
    const subject = driver();
    const asked = [subject.add(request(1, 5)), subject.add(request(1, 5))];
    const { step } = due(subject.next());
    const answers = [0, 1].map((sequence) => ({ sequence, tokens: [7] }));
    expect(() => subject.complete(step.step, [...answers.slice(0, 1), { sequence: 3, tokens: [7] }])).toThrow(
      expect.objectContaining({ code: 'protocol-violation' }),
    );
    expect(asked.map(({ received }) => received)).toEqual([[], []]);
    subject.complete(step.step, answers);
    expect(asked.map(({ received }) => received)).toEqual([[7], [7]]);
  });

  it('that takes over stages of another one clears them, and tells its answers from those of the other', () => {
    const subject = new Scheduler({ ...options, swapTokens: 8 }, 7000);
    subject.add({ id: 'a', prompt: [1], sampling, mostTokens: 5, speculates: false });
    const { step } = due(subject.next());
    expect(step.step).toBe(7000);
    const [first] = step.operations;
    expect(first).toEqual({ type: 'remove', sequence: 0, from: 0 });
    expect(step.operations.filter(({ type }) => type === 'remove')).toHaveLength(options.slots);
    expect(step.operations.filter(({ type }) => type === 'swap-discard').length).toBeGreaterThan(0);
    expect(step.operations.at(-1)).toMatchObject({ type: 'sample-with', sequence: 0 });
    expect([6999, 3].map((other) => subject.isOthers(other))).toEqual([true, true]);
    expect(subject.isOthers(7000)).toBe(false);
    subject.complete(7000, [{ sequence: 0, tokens: [7] }]);
    // Those of the other one were ahead of this one's first.
    expect(subject.isOthers(6999)).toBe(false);
  });

  it('says what has come of a step, in the order of its entries, and calls nobody', () => {
    const subject = new Scheduler(options);
    const [first, second] = ['a', 'b'].map((id) =>
      subject.add({ id, prompt: [1], sampling, mostTokens: 5, speculates: false }),
    );
    const { step } = due(subject.next());
    const error = { code: 'invalid-request', message: 'the grammar takes too much work', retryable: false } as const;
    const outcomes = subject.complete(step.step, [
      { sequence: 0, tokens: [7] },
      { sequence: 1, tokens: [], error },
    ]);
    expect(outcomes).toEqual([
      { type: 'tokens-drawn', sequence: first, tokens: [{ token: 7, isDraft: false }] },
      { type: 'sequence-failed', sequence: second, error: expect.objectContaining({ code: 'invalid-request' }) },
    ]);
  });

  it('keeps of a sequence that ends amid drafted tokens those up to its end', () => {
    const subject = new Scheduler({ ...options, stepCosts: [1, 8].map((rows) => ({ rows, ms: 10 + rows })) });
    const text = [...Array(3).keys()].flatMap(() => [0, 1, 2, 3, 4, 5, 6, 7]);
    const ask = (id: string, prompt: readonly number[]) =>
      subject.add({ id, prompt, sampling, mostTokens: 60, speculates: true });
    const sequence = ask('a', text);
    const answers = [[], [], [0]];
    for (const tokens of answers) {
      subject.complete(due(subject.next()).step.step, tokens.length === 0 ? [] : [{ sequence: 0, tokens }]);
    }
    const { step } = due(subject.next());
    const draft = step.entries[0]?.draft ?? [];
    expect(draft.slice(0, 3)).toEqual([1, 2, 3]);
    const [outcome] = subject.complete(step.step, [{ sequence: 0, tokens: [...draft, 9] }]);
    expect(outcome).toMatchObject({ type: 'tokens-drawn', tokens: [...draft.map(() => ({ isDraft: true })), {}] });
    // Its text is complete with the first of them.
    subject.end(sequence, { unread: draft.length });
    expect(sequence.tokens).toEqual([...text, 0, 1]);
    expect(ask('b', [...text, 0, 1, 2, 3]).cachedTokens).toBe(text.length + 2);
  });

  it.each([
    ['nothing', []],
    ["another slot's token", [{ sequence: 1, tokens: [1] }]],
    [
      'two answers',
      [
        { sequence: 0, tokens: [1] },
        { sequence: 0, tokens: [2] },
      ],
    ],
    ['no token', [{ sequence: 0, tokens: [] }]],
    ['more tokens than there were draft tokens', [{ sequence: 0, tokens: [1, 2] }]],
  ])('refuses %s as the answer to a step with one entry', (_name, draws) => {
    const subject = driver();
    subject.add(request(1, 1));
    const { step } = due(subject.next());
    expect(() => subject.complete(step.step, draws)).toThrow(expect.objectContaining({ code: 'protocol-violation' }));
  });
});

describe('a text that is read along', () => {
  const text = (length: number): number[] => Array.from({ length }, (_, index) => index);

  it('is read without a draw, and kept for the generation that goes on behind it', () => {
    const subject = driver({ batchTokens: 63, chunkTokens: 48 });
    subject.read(text(40), { tokens: [90, 91] });
    const read = due(subject.next());
    expect(read.step).toMatchObject({ operations: [], entries: [{ position: 0, count: 42, sample: false }] });
    expect(subject.endedReads()).toEqual([]);
    subject.complete(read.step.step, []);
    expect(subject.endedReads()).toMatchObject([{ error: undefined }]);
    subject.add({ ...request(40, 9), resume: { tokens: [90, 91, 92] } });
    expect(due(subject.next()).step.entries).toMatchObject([{ position: 42, count: 1, sample: true }]);
    expect(subject.scheduler.ended).toBe(0);
  });

  it('does not count as work for routers', () => {
    const subject = driver();
    subject.read(text(30));
    const { active, queued, waitingTokens, isIdle } = subject.scheduler;
    expect({ active, queued, waitingTokens, isIdle }).toEqual({
      active: 0,
      queued: 0,
      waitingTokens: 0,
      isIdle: false,
    });
  });

  it('has few rows beside a generation, and those behind all others', () => {
    const subject = driver({ batchTokens: 63, chunkTokens: 48 });
    subject.read(text(40));
    subject.add(request(1, 9));
    const rows = due(subject.next()).step.entries.map(({ sequence, count }) => [sequence, count]);
    expect(rows).toEqual([
      [1, 1],
      [0, 8],
    ]);
  });

  it.each([
    [true, [1, 1, 16, 1, 1, 16, 1]],
    [false, [1, 1, 1, 1, 1, 1, 1]],
  ])('has tiles now and then beside a generation where one is sure to go on behind it: %s', (moves, expected) => {
    const subject = driver({ batchTokens: 15, chunkTokens: 8, tiles: { rows: 16, from: 20 } });
    subject.add(request(1, 20));
    subject.read(text(60), { moves });
    const counts = expected.map(() => {
      const step = due(subject.next());
      answer(subject, step, 90);
      return step.step.entries.map(({ count }) => count);
    });
    expect(counts).toEqual(expected.map((count) => [count]));
  });

  it('makes room at once for one behind which a generation is sure to go on, and that comes before others', () => {
    const subject = driver();
    const reads = [0, 1].map((first) => subject.read([first, 80]));
    const moving = subject.read([2, 80], { moves: true });
    expect(subject.endedReads()).toMatchObject([{ sequence: reads[0], error: { code: 'overloaded' } }]);
    const second = subject.read([3, 80], { moves: true });
    expect([moving, second, reads[1]].map((read) => read?.slot !== undefined)).toEqual([true, false, false]);
    answer(subject, due(subject.next()), 1);
    due(subject.next());
    expect([moving.isFinished, second.slot !== undefined, reads[1]?.slot]).toEqual([true, true, undefined]);
  });

  it('waits while others do, and has a place only where one is free', () => {
    const subject = driver({ sequences: 1 });
    const first = subject.add(request(3, 1));
    const second = subject.add({ ...request(3, 1), prompt: [70, 71, 72] });
    const read = subject.read([80, 81, 82]);
    answer(subject, due(subject.next()), 1);
    expect(first.sequence.isFinished).toBe(true);
    expect([second.sequence.slot, read.slot].map((slot) => slot !== undefined)).toEqual([true, false]);
    answer(subject, due(subject.next()), 1);
    expect(due(subject.next()).step.entries).toMatchObject([{ count: 3, sample: false }]);
  });

  it('ends when a generation waits for its place, which goes on where it has come to', () => {
    const subject = driver({ slots: 1, batchTokens: 63, chunkTokens: 48 });
    subject.read(text(60));
    const first = due(subject.next());
    subject.complete(first.step.step, []);
    const watched = subject.add(request(61, 1));
    expect(subject.endedReads()).toMatchObject([{ error: { code: 'overloaded' } }]);
    expect(watched.sequence.cachedTokens).toBe(48);
  });

  it('ends when others need its cells', () => {
    const subject = driver({ contextTokens: 40 });
    subject.add(request(2, 38));
    subject.read([80, ...text(20)]);
    for (let count = 0; count < 37; count += 1) {
      const step = due(subject.next());
      answer(subject, step, 1);
    }
    expect(subject.endedReads()).toMatchObject([{}]);
    subject.read([80, ...text(30)]);
    due(subject.next());
    expect(subject.endedReads()).toMatchObject([{}, { error: { code: 'overloaded' } }]);
  });

  it('fails with the step that it has rows in, and leaves nothing behind', () => {
    const subject = driver();
    subject.read(text(6));
    const { step } = due(subject.next()).step;
    subject.fail(step, new SkeinError('engine-failed', 'broken'), { answerIsDue: false });
    expect(subject.endedReads()).toMatchObject([{ error: { code: 'engine-failed' } }]);
    expect(subject.add(request(6, 1)).sequence.cachedTokens).toBe(0);
  });

  it('is refused where it can not fit, and when too many wait', () => {
    const subject = driver();
    expect(() => subject.read(text(99), { tokens: [1, 2] })).toThrow(
      expect.objectContaining({ code: 'context-length-exceeded' }),
    );
    for (let count = 0; count < 65; count += 1) subject.read([count, 1]);
    expect(() => subject.read([1])).toThrow(expect.objectContaining({ code: 'overloaded' }));
  });
});
