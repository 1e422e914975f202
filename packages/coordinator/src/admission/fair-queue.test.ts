import * as fc from 'fast-check';
import { expect, it } from 'vitest';

import { FairQueue, type Claim } from './fair-queue.ts';

const claimOf = (principal: string, tokens: number): Claim => ({ principal, tokens });

function takeAll(queue: FairQueue<Claim>): string {
  return Array.from({ length: queue.size }, () => queue.take()?.principal).join('');
}

it('takes the claims of one principal in their order', () => {
  const queue = new FairQueue<Claim>();
  const claims = [100, 1, 50].map((tokens) => claimOf('a', tokens));
  for (const claim of claims) queue.add(claim);
  expect(claims.map(() => queue.take())).toEqual(claims);
  expect(queue.take()).toBeUndefined();
});

it('takes the claims of one principal by their ranks, where they have some', () => {
  const queue = new FairQueue<Claim>();
  const ranked = [30, 10, 20, 10].map((rank) => ({ ...claimOf('a', 5), rank }));
  for (const claim of ranked) queue.add(claim);
  expect(queue.inOrder().map(({ rank }) => rank)).toEqual([10, 10, 20, 30]);
  expect([queue.take(), queue.take()]).toEqual([ranked[1], ranked[3]]);
  expect([queue.take(), queue.take()]).toEqual([ranked[2], ranked[0]]);
});

it('shares tokens out, not turns', () => {
  const queue = new FairQueue<Claim>();
  for (let count = 0; count < 3; count += 1) queue.add(claimOf('a', 300));
  for (let count = 0; count < 6; count += 1) queue.add(claimOf('b', 100));
  expect(takeAll(queue)).toBe('abbbabbba');
});

it('charges what claims really took', () => {
  const queue = new FairQueue<Claim>();
  for (let count = 0; count < 2; count += 1) queue.add(claimOf('a', 10));
  for (let count = 0; count < 4; count += 1) queue.add(claimOf('b', 10));
  expect(queue.take()?.principal).toBe('a');
  queue.correct('a', 25);
  expect(takeAll(queue)).toBe('bbbba');
});

it('gives nobody turns for a time in which it asked for none', () => {
  const queue = new FairQueue<Claim>();
  for (let count = 0; count < 20; count += 1) queue.add(claimOf('a', 10));
  for (let count = 0; count < 10; count += 1) queue.take();
  for (let count = 0; count < 4; count += 1) queue.add(claimOf('b', 10));
  expect(takeAll(queue).slice(0, 8)).toBe('babababa');
});

it('forgets nobody that owes something', () => {
  const queue = new FairQueue<Claim>();
  queue.add(claimOf('a', 1000));
  queue.take();
  queue.add(claimOf('b', 10));
  queue.take();
  queue.add(claimOf('a', 10));
  for (let count = 0; count < 3; count += 1) queue.add(claimOf('b', 10));
  expect(takeAll(queue)).toBe('bbba');
});

const anyTokens = fc.integer({ min: 1, max: 1000 });

it('gives of two that both wait neither more than the other by more than a claim', () => {
  const backlog = fc.array(anyTokens, { minLength: 30, maxLength: 30 });
  fc.assert(
    fc.property(fc.array(backlog, { minLength: 2, maxLength: 5 }), (backlogs) => {
      const queue = new FairQueue<Claim>();
      backlogs.forEach((tokens, index) => tokens.forEach((one) => queue.add(claimOf(String(index), one))));
      const taken = backlogs.map(() => 0);
      while (backlogs.every((_, index) => queue.sizeOf(String(index)) > 0)) {
        const { principal, tokens } = queue.take() as Claim;
        taken[Number(principal)] = (taken[Number(principal)] ?? 0) + tokens;
        expect(Math.max(...taken) - Math.min(...taken)).toBeLessThanOrEqual(1000);
      }
    }),
  );
});

it('starves nobody, whatever others ask for', () => {
  fc.assert(
    fc.property(
      anyTokens,
      fc.array(fc.record({ by: fc.nat(3), tokens: anyTokens }), { minLength: 1 }),
      (own, others) => {
        const queue = new FairQueue<Claim>();
        // It comes with a debt, as after the largest claim there is.
        queue.add(claimOf('patient', own));
        queue.take();
        queue.add(claimOf('patient', own));
        let turns = 0;
        for (; queue.sizeOf('patient') > 0; turns += 1) {
          const other = others[turns % others.length];
          if (other !== undefined) queue.add(claimOf(`other ${other.by}`, other.tokens));
          queue.take();
          // Four others that are charged at least a token a turn each, up to its debt of 1,000.
          expect(turns).toBeLessThanOrEqual(4 * 1001);
        }
      },
    ),
  );
});
