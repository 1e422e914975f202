import * as fc from 'fast-check';
import { expect, it } from 'vitest';

import { ModelQueue, type AdmissionRequest, type ModelQueueOptions, type Refusal, type Ticket } from './model-queue.ts';

const exact: ModelQueueOptions = { aheadPerReplica: 0 };
const nothing = { promptTokens: 0, generatedTokens: 0 };

function requestOf(change: Partial<AdmissionRequest> = {}): AdmissionRequest {
  return { principal: 'local', priority: 'interactive', sequences: 1, promptTokens: 10, ...change };
}

function queueOf(sequences: readonly number[], options: ModelQueueOptions = exact): ModelQueue {
  const queue = new ModelQueue(options);
  queue.setReplicas(sequences);
  return queue;
}

function isRefusal(result: Ticket | Refusal): result is Refusal {
  return 'reason' in result;
}

/** Queues a request that has to be taken. */
function enter(queue: ModelQueue, change: Partial<AdmissionRequest> = {}, nowMs = 0): Ticket {
  const result = queue.enter(requestOf(change), nowMs);
  if (isRefusal(result)) throw new Error(`refused: ${result.reason}`);
  return result;
}

function refuse(queue: ModelQueue, change: Partial<AdmissionRequest> = {}, nowMs = 0): Refusal {
  const result = queue.enter(requestOf(change), nowMs);
  if (isRefusal(result)) return result;
  throw new Error('the request was taken');
}

it('has as many places as the replicas have sequences, and some ahead', () => {
  const queue = queueOf([2, 1], { aheadPerReplica: 1 });
  const tickets = Array.from({ length: 7 }, () => enter(queue));
  expect(queue.admit(0)).toEqual(tickets.slice(0, 5));
  expect(tickets.map((ticket) => queue.outlookOf(ticket, 0).position)).toEqual([0, 0, 0, 0, 0, 1, 2]);
  for (const ticket of tickets.slice(0, 2)) queue.leave(ticket, nothing, 1);
  expect(queue.admit(1)).toEqual(tickets.slice(5));
});

it('admits as many prompts as keep the replicas reading, and short ones beyond', () => {
  const queue = queueOf([8, 8], { ...exact, unreadPerReplica: 2, unreadTokensPerReplica: 1000 });
  const long = Array.from({ length: 6 }, () => enter(queue, { promptTokens: 5000 }));
  expect(queue.admit(0)).toEqual(long.slice(0, 4));
  queue.setRead(long[0] as Ticket, 1);
  queue.setRead(long[0] as Ticket, 1);
  expect(queue.admit(1)).toEqual([long[4]]);
  // One that fails or is cancelled is not read any more either.
  queue.leave(long[1] as Ticket, nothing, 2);
  expect(queue.admit(2)).toEqual([long[5]]);
  for (const ticket of long) queue.leave(ticket, nothing, 3);
  const short = Array.from({ length: 12 }, () => enter(queue, { promptTokens: 200 }, 3));
  expect(queue.admit(3)).toEqual(short.slice(0, 10));
});

it('expects waits from the time that prompts took to be read, too', () => {
  const queue = queueOf([8], { ...exact, unreadPerReplica: 1, unreadTokensPerReplica: 0 });
  const first = enter(queue, { promptTokens: 1000 });
  queue.admit(0);
  queue.setRead(first, 500);
  const waiting = Array.from({ length: 3 }, () => enter(queue, { promptTokens: 1000 }, 500));
  queue.admit(500);
  expect(waiting.map((ticket) => queue.outlookOf(ticket, 500).expectedWaitMs)).toEqual([0, 500, 1000]);
});

it('takes short prompts of a principal before long ones, up to eight times as late as those take to be read', () => {
  const queue = queueOf([8], { ...exact, unreadPerReplica: 1, unreadTokensPerReplica: 0 });
  const first = enter(queue, { promptTokens: 1000 });
  queue.admit(0);
  const long = enter(queue, { promptTokens: 1000 });
  queue.setRead(first, 1000);
  queue.admit(1000);
  const slow = enter(queue, { promptTokens: 1000 }, 2000);
  const [early, late, tooLate] = [9100, 9150, 9300].map((atMs) => enter(queue, { promptTokens: 100 }, atMs));
  const order = [slow, early, late, tooLate].map((ticket) => queue.outlookOf(ticket as Ticket, 9400).position);
  expect(order).toEqual([3, 1, 2, 4]);
  queue.leave(long, nothing, 9400);
  expect(queue.admit(9400)).toEqual([early]);
});

it('admits nobody before a replica is ready, and never refuses the first to come', () => {
  const queue = queueOf([]);
  const ticket = enter(queue, { deadlineMs: 1 });
  expect(queue.admit(0)).toEqual([]);
  expect(queue.outlookOf(ticket, 0)).toEqual({ position: 1 });
  queue.setReplicas([1]);
  expect(queue.admit(1)).toEqual([ticket]);
});

it('counts the choices of a request, and gives one with more choices than places all of them', () => {
  const queue = queueOf([4]);
  const [three, two, eight, one] = [3, 2, 8, 1].map((sequences) => enter(queue, { sequences }));
  expect(queue.admit(0)).toEqual([three]);
  queue.leave(three as Ticket, nothing, 1);
  expect(queue.admit(1)).toEqual([two]);
  queue.leave(two as Ticket, nothing, 2);
  expect(queue.admit(2)).toEqual([eight]);
  queue.leave(eight as Ticket, nothing, 3);
  expect(queue.admit(3)).toEqual([one]);
});

it('gives the place of a reader that does not keep up to others', () => {
  const queue = queueOf([1]);
  const [slow, other, third] = [enter(queue), enter(queue), enter(queue)];
  queue.admit(0);
  queue.setStalled(slow, true);
  expect(queue.admit(0)).toEqual([other]);
  queue.setStalled(slow, false);
  queue.leave(other, nothing, 1);
  expect(queue.admit(1)).toEqual([]);
  queue.leave(slow, nothing, 2);
  expect(queue.admit(2)).toEqual([third]);
});

it('expects waits from the time that requests took, and from that of running ones where it is longer', () => {
  const queue = queueOf([2]);
  const first = [enter(queue), enter(queue)];
  queue.admit(0);
  for (const ticket of first) queue.leave(ticket, nothing, 1000);
  const running = [enter(queue, {}, 1000), enter(queue, {}, 1000)];
  queue.admit(1000);
  const waiting = [enter(queue, {}, 1000), enter(queue, { sequences: 2 }, 1000)];
  const waits = (nowMs: number) => waiting.map((ticket) => queue.outlookOf(ticket, nowMs).expectedWaitMs);
  // Two places, each free after a second: one every 500 ms.
  expect(waits(1000)).toEqual([500, 1500]);
  expect(waits(5000)).toEqual([2000, 6000]);
  expect(queue.outlookOf(running[0] as Ticket, 5000)).toEqual({ position: 0, expectedWaitMs: 0 });
});

it('bounds the queue by the sequences there are, and one principal by what it leaves to others', () => {
  const queue = queueOf([2], { ...exact, waitingPerSequence: 8 });
  for (let count = 0; count < 2; count += 1) enter(queue);
  queue.admit(0);
  for (let count = 0; count < 12; count += 1) enter(queue, { principal: 'flood' });
  expect(refuse(queue, { principal: 'flood' })).toMatchObject({ reason: 'share', waiting: 12 });
  // Its other priority, and anybody else, are taken.
  enter(queue, { principal: 'flood', priority: 'batch' });
  for (const principal of ['a', 'b', 'c']) enter(queue, { principal });
  expect(refuse(queue, { principal: 'd' })).toMatchObject({ reason: 'full', waiting: 16 });
});

it('takes continued answers before all others, and as many of them as of others', () => {
  const queue = queueOf([1], { ...exact, waitingPerSequence: 4 });
  enter(queue);
  queue.admit(0);
  for (let count = 0; count < 3; count += 1) enter(queue);
  const continued = Array.from({ length: 4 }, () => enter(queue, { priority: 'continued' }));
  expect(continued.map((ticket) => queue.outlookOf(ticket, 0).position)).toEqual([1, 2, 3, 4]);
  expect(refuse(queue, { priority: 'continued' }).reason).toBe('full');
  enter(queue, { principal: 'other' });
});

it('refuses who would wait too long, or past its deadline, and says when that is over', () => {
  const queue = queueOf([1], { ...exact, longestWaitMs: 25_000 });
  queue.admit(0);
  const first = enter(queue);
  queue.admit(0);
  queue.leave(first, nothing, 10_000);
  enter(queue, {}, 10_000);
  queue.admit(10_000);
  enter(queue, {}, 10_000);
  expect(refuse(queue, { deadlineMs: 15_000 }, 10_000)).toEqual({
    reason: 'deadline',
    waiting: 1,
    expectedWaitMs: 20_000,
    retryAfterMs: 15_000,
  });
  enter(queue, { deadlineMs: 20_000 }, 10_000);
  expect(refuse(queue, {}, 10_000)).toMatchObject({ reason: 'wait', expectedWaitMs: 30_000 });
});

it('tells each refused request a time of its own, as far apart as places get free, and a minute at most', () => {
  const queue = queueOf([1], { ...exact, waitingPerSequence: 1 });
  const first = enter(queue);
  queue.admit(0);
  queue.leave(first, nothing, 20_000);
  for (let count = 0; count < 2; count += 1) {
    enter(queue, {}, 20_000);
    queue.admit(20_000);
  }
  const told = Array.from({ length: 4 }, () => refuse(queue, {}, 20_000).retryAfterMs);
  expect(told).toEqual([20_000, 40_000, 60_000, 60_000]);
});

/** Serves all, one after the other, each for as many tokens as were expected. Calls back at each admission. */
function serve(queue: ModelQueue, onAdmitted: (ticket: Ticket) => void): void {
  const running: Ticket[] = [];
  for (let nowMs = 0; queue.waiting > 0 || running.length > 0; nowMs += 1) {
    for (const ticket of queue.admit(nowMs)) {
      running.push(ticket);
      onAdmitted(ticket);
    }
    const over = running.shift();
    if (over !== undefined) queue.leave(over, { promptTokens: over.tokens, generatedTokens: 0 }, nowMs);
  }
}

const anyRequest = fc.record({
  principal: fc.constantFrom('a', 'b', 'c'),
  priority: fc.constantFrom('continued', 'interactive', 'batch'),
  sequences: fc.integer({ min: 1, max: 8 }),
  promptTokens: fc.integer({ min: 0, max: 5000 }),
});

it('keeps the bounds and loses nobody, whatever comes, leaves, stalls or ends', () => {
  const event = fc.oneof(
    anyRequest.map((request) => ({ type: 'enter', request }) as const),
    fc.nat().map((which) => ({ type: 'leave', which }) as const),
    fc.nat().map((which) => ({ type: 'stall', which }) as const),
    fc
      .array(fc.integer({ min: 1, max: 4 }), { maxLength: 3 })
      .map((replicas) => ({ type: 'replicas', replicas }) as const),
  );
  fc.assert(
    fc.property(fc.array(event, { maxLength: 120 }), (events) => {
      const queue = queueOf([2], { aheadPerReplica: 1, waitingPerSequence: 4 });
      const [waiting, running, stalled] = [new Set<Ticket>(), new Set<Ticket>(), new Set<Ticket>()];
      const told: number[] = [];
      let places = 3;
      events.forEach((event, nowMs) => {
        if (event.type === 'replicas') {
          places = event.replicas.reduce((sum, one) => sum + one + 1, 0);
          queue.setReplicas(event.replicas);
        } else if (event.type === 'enter') {
          const result = queue.enter(event.request, nowMs);
          if (isRefusal(result)) told.push(result.retryAfterMs);
          else waiting.add(result);
        } else {
          const all = [...waiting, ...running];
          const ticket = all[event.which % all.length];
          if (ticket === undefined) return;
          if (event.type === 'stall') {
            queue.setStalled(ticket, !stalled.has(ticket));
            if (running.has(ticket) && !stalled.delete(ticket)) stalled.add(ticket);
          } else {
            queue.leave(ticket, nothing, nowMs);
            for (const set of [waiting, running, stalled]) set.delete(ticket);
          }
        }
        const before = [...running].filter((one) => !stalled.has(one)).reduce((sum, one) => sum + one.sequences, 0);
        const admitted = queue.admit(nowMs);
        for (const ticket of admitted) {
          expect(waiting.delete(ticket)).toBe(true);
          running.add(ticket);
        }
        const sum = [...running].filter((one) => !stalled.has(one)).reduce((total, one) => total + one.sequences, 0);
        const isAlone = admitted.length === 1 && before === 0;
        expect(admitted.length === 0 || isAlone || sum <= places).toBe(true);
        // Nobody waits before places that are all free.
        expect(places === 0 || sum > 0 || waiting.size === 0).toBe(true);
        expect([queue.waiting, queue.admitted]).toEqual([waiting.size, running.size]);
      });
      expect(told.every((ms) => ms >= 1000 && ms <= 60_000)).toBe(true);
    }),
  );
});

it('admits in the order that it told, each position one less with each admission', () => {
  fc.assert(
    fc.property(fc.array(anyRequest, { minLength: 1, maxLength: 60 }), (requests) => {
      const queue = queueOf([]);
      const tickets = requests.map((request) => enter(queue, request));
      const positions = new Map(tickets.map((ticket) => [ticket, queue.outlookOf(ticket, 0).position]));
      expect([...positions.values()].toSorted((one, other) => one - other)).toEqual(
        tickets.map((_, index) => index + 1),
      );
      queue.setReplicas([1]);
      let admissions = 0;
      serve(queue, (ticket) => {
        admissions += 1;
        expect(positions.get(ticket)).toBe(admissions);
        for (const [one, position] of positions) {
          expect(queue.outlookOf(one, 0).position).toBe(Math.max(0, position - admissions));
        }
      });
      expect(admissions).toBe(tickets.length);
    }),
  );
});
