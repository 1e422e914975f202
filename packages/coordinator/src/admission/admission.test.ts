import { setImmediate as nextTurn } from 'node:timers/promises';

import { SkeinError } from '@skein/protocol';
import { expect, it } from 'vitest';

import { ManualTimers } from '../testing/manual-timers.ts';
import { Admission } from './admission.ts';
import type { Permit } from './model-admission.ts';
import type { AdmissionRequest, ModelQueueOptions } from './model-queue.ts';

const model = 'ab'.repeat(32);
const request: AdmissionRequest = { principal: 'local', priority: 'interactive', sequences: 1, promptTokens: 10 };
const { signal } = new AbortController();

/** An admission over replicas that the test changes. */
function setup(sequences: number[], options: ModelQueueOptions = {}) {
  const timers = new ManualTimers();
  const preparations: PromiseWithResolvers<void>[] = [];
  const prepare = async () => {
    const preparation = Promise.withResolvers<void>();
    preparations.push(preparation);
    await preparation.promise;
  };
  const components = {
    replicas: { sequencesOf: () => sequences, prepare },
    schedule: timers.schedule,
    nowMs: () => timers.nowMs,
  };
  const admission = new Admission(components, { aheadPerReplica: 0, ...options });
  const enter = (change: Partial<AdmissionRequest> = {}, left = signal) =>
    admission.enter(model, { ...request, ...change }, left);
  return { admission, enter, timers, preparations, replicas: sequences };
}

/** Tells whether a request has its place by now. */
async function isAdmitted({ admitted }: Permit): Promise<boolean> {
  return await Promise.race([admitted.then(() => true), nextTurn(false)]);
}

it('admits as many as there is room for, and the next when one is over', async () => {
  const { enter, timers } = setup([2]);
  const permits = [enter(), enter(), enter(), enter()];
  expect(await Promise.all(permits.map(isAdmitted))).toEqual([true, true, false, false]);
  permits[0]?.[Symbol.dispose]();
  permits[0]?.[Symbol.dispose]();
  expect(await Promise.all(permits.slice(2).map(isAdmitted))).toEqual([true, false]);
  for (const permit of permits) permit[Symbol.dispose]();
  expect(timers.count).toBe(0);
});

it("admits the next when a prompt was read, which is told by its answer's first token", async () => {
  const { enter } = setup([8], { unreadPerReplica: 1, unreadTokensPerReplica: 0 });
  const permits = [enter(), enter(), enter()];
  expect(await Promise.all(permits.map(isAdmitted))).toEqual([true, false, false]);
  permits[0]?.onTokens(1);
  permits[0]?.onTokens(1);
  expect(await Promise.all(permits.map(isAdmitted))).toEqual([true, true, false]);
});

it('lets a request whose client is gone leave the queue', async () => {
  const { enter, admission } = setup([1]);
  const [running, left] = [enter(), new AbortController()];
  const [waiting, next] = [enter({}, left.signal), enter()];
  expect([waiting.outlook.position, next.outlook.position]).toEqual([1, 2]);
  left.abort(new SkeinError('aborted', 'the client went away'));
  await expect(waiting.admitted).rejects.toMatchObject({ code: 'aborted' });
  expect(next.outlook.position).toBe(1);
  expect(admission.status()).toMatchObject([{ admitted: 1, waiting: 1 }]);
  running[Symbol.dispose]();
  expect(await isAdmitted(next)).toBe(true);
});

it('keeps a request waiting in the queue while its model is deployed, once for all', async () => {
  const { enter, preparations, replicas, timers } = setup([]);
  const permits = [enter(), enter(), enter()];
  expect(preparations).toHaveLength(1);
  expect(permits.map(({ outlook }) => outlook)).toEqual([{ position: 1 }, { position: 2 }, { position: 3 }]);
  // However long that takes.
  timers.advance(3_600_000);
  replicas.push(2);
  preparations[0]?.resolve();
  await permits[0]?.admitted;
  expect(await Promise.all(permits.map(isAdmitted))).toEqual([true, true, false]);
});

it('admits one for a deployment that serves and is on no card yet', async () => {
  const { enter, preparations } = setup([]);
  const permits = [enter(), enter()];
  preparations[0]?.resolve();
  await permits[0]?.admitted;
  expect(await Promise.all(permits.map(isAdmitted))).toEqual([true, false]);
  permits[0]?.[Symbol.dispose]();
  preparations[1]?.resolve();
  await permits[1]?.admitted;
});

it('ends all waits when the model can not be deployed, and forgets it', async () => {
  const { admission, enter, preparations } = setup([]);
  const permits = [enter(), enter()];
  preparations[0]?.reject(new SkeinError('does-not-fit', 'no machine has the room'));
  for (const { admitted } of permits) await expect(admitted).rejects.toMatchObject({ code: 'does-not-fit' });
  expect(preparations).toHaveLength(1);
  for (const permit of permits) permit[Symbol.dispose]();
  expect(admission.status()).toEqual([]);
});

it('admits those who wait when a replica has become ready', async () => {
  const { admission, enter, replicas } = setup([1]);
  const permits = [enter(), enter(), enter()];
  replicas.push(2);
  admission.refresh();
  expect(await Promise.all(permits.map(isAdmitted))).toEqual([true, true, true]);
});

it('refuses at once when too many wait, with the time after which to come again', () => {
  const { admission, enter } = setup([1], { waitingPerSequence: 1 });
  const first = enter();
  enter();
  expect(() => enter()).toThrow(expect.objectContaining({ code: 'overloaded', details: { retryAfterSeconds: 1 } }));
  first[Symbol.dispose]();
  enter();
  expect(admission.status()).toEqual([{ model, admitted: 1, waiting: 1, bound: 1, refused: 1 }]);
});

it('ends a wait that lasts for five minutes', async () => {
  const { enter, timers } = setup([1]);
  enter();
  const waiting = enter();
  timers.advance(299_999);
  expect(await isAdmitted(waiting)).toBe(false);
  timers.advance(1);
  // The one that runs has taken as long, and nobody knows when it ends.
  await expect(waiting.admitted).rejects.toMatchObject({ code: 'overloaded', details: { retryAfterSeconds: 60 } });
});

it('charges principals what their answers took, not what was expected', async () => {
  const { enter } = setup([1]);
  const greedy = enter({ principal: 'greedy' });
  const [again, modest] = [enter({ principal: 'greedy' }), enter({ principal: 'modest' })];
  expect(modest.outlook.position).toBe(1);
  const modestAgain = enter({ principal: 'modest', promptTokens: 400 });
  expect([again.outlook.position, modestAgain.outlook.position]).toEqual([2, 3]);
  greedy.onTokens(10_000);
  greedy[Symbol.dispose]();
  expect(await isAdmitted(modest)).toBe(true);
  expect(modestAgain.outlook.position).toBe(1);
});
