import * as fc from 'fast-check';
import { expect, it } from 'vitest';

import { PriorityQueue, type PrioritizedClaim } from './priority-queue.ts';

const claimOf = (change: Partial<PrioritizedClaim>): PrioritizedClaim => ({
  principal: 'a',
  priority: 'interactive',
  tokens: 10,
  ...change,
});

function takeAll(queue: PriorityQueue<PrioritizedClaim>): PrioritizedClaim[] {
  return Array.from({ length: queue.size }, () => queue.take() as PrioritizedClaim);
}

it('takes interactive claims before batches, but a batch after seven of them', () => {
  const queue = new PriorityQueue();
  for (let count = 0; count < 3; count += 1) queue.add(claimOf({ priority: 'batch' }));
  for (let count = 0; count < 16; count += 1) queue.add(claimOf({}));
  const letters = takeAll(queue).map(({ priority }) => priority.charAt(0));
  expect(letters.join('')).toBe('iiiiiiibiiiiiiibiib');
});

it('does not hold interactive claims that were taken before a batch came against them', () => {
  const queue = new PriorityQueue();
  for (let count = 0; count < 20; count += 1) queue.add(claimOf({}));
  for (let count = 0; count < 10; count += 1) queue.take();
  queue.add(claimOf({ priority: 'batch' }));
  expect(takeAll(queue).findIndex(({ priority }) => priority === 'batch')).toBe(7);
});

const anyClaim = fc.record({
  principal: fc.constantFrom('a', 'b', 'c'),
  priority: fc.constantFrom('continued', 'interactive', 'batch'),
  tokens: fc.integer({ min: 1, max: 1000 }),
});

it('takes claims in the order that it tells, wherever it is', () => {
  fc.assert(
    fc.property(
      fc.array(anyClaim, { maxLength: 50 }),
      fc.array(anyClaim, { maxLength: 50 }),
      fc.nat(50),
      (first, later, taken) => {
        const queue = new PriorityQueue<PrioritizedClaim>();
        for (const claim of first) queue.add(claim);
        for (let count = 0; count < Math.min(taken, first.length); count += 1) queue.take();
        for (const claim of later) queue.add({ ...claim });
        const order = queue.inOrder();
        expect(takeAll(queue)).toEqual(order);
      },
    ),
  );
});

it('starves no batch: a stream of interactive claims lets one of eight through', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 20 }),
      fc.array(anyClaim, { minLength: 8, maxLength: 8 }),
      (batches, stream) => {
        const queue = new PriorityQueue<PrioritizedClaim>();
        for (let count = 0; count < batches; count += 1) queue.add(claimOf({ priority: 'batch' }));
        let left = batches;
        for (let turn = 0; turn < 8 * batches; turn += 1) {
          queue.add({ ...claimOf(stream[turn % 8] ?? {}), priority: 'interactive' });
          if (queue.take()?.priority === 'batch') left -= 1;
        }
        expect(left).toBe(0);
      },
    ),
  );
});
