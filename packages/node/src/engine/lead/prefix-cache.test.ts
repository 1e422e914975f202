import { describe, expect, it } from 'vitest';

import { PrefixCache, type Placement, type PrefixSource } from './prefix-cache.ts';

const text = (length: number, first = 0): number[] => Array.from({ length }, (_, index) => first + index);

function cache(options: Partial<ConstructorParameters<typeof PrefixCache>[0]> = {}): PrefixCache {
  return new PrefixCache({ slots: 3, cells: 100, keeps: true, swapTokens: 0, ...options });
}

/** Places a sequence, which then sends so many rows in all. */
function place(
  subject: PrefixCache,
  tokens: readonly number[],
  length: number,
  running: readonly PrefixSource[] = [],
): Placement {
  const placement = subject.place(tokens, { spare: length - tokens.length, running });
  if (placement === undefined) throw new Error('there was no room');
  const { slot, cachedTokens, operations } = placement;
  const more = subject.makeRoom(length - cachedTokens);
  subject.grow(slot, length);
  return { slot, cachedTokens, operations: [...operations, ...more] };
}

describe('the prefix cache', () => {
  it('starts a sequence in the slot of a finished one that it goes on from', () => {
    const subject = cache();
    const { slot } = place(subject, text(20), 40);
    expect(subject.release(slot, text(24), 24)).toEqual([{ type: 'remove', sequence: slot, from: 24 }]);
    expect(place(subject, text(30), 60)).toEqual({
      slot,
      cachedTokens: 24,
      operations: [{ type: 'remove', sequence: slot, from: 24 }],
    });
    expect(subject.freeCells).toBe(40);
  });

  it('copies what is alike, and keeps the other, when a sequence turns off half-way', () => {
    const subject = cache();
    const { slot } = place(subject, text(20), 24);
    subject.release(slot, text(24), 24);
    const next = place(subject, [...text(18), 500, 501], 30);
    expect(next.cachedTokens).toBe(18);
    expect(next.operations).toEqual([{ type: 'copy', sequence: slot, to: next.slot, before: 18 }]);
    expect([subject.keptSequences, subject.freeCells]).toEqual([1, 100 - 24 - 12]);
  });

  it('shares of a running sequence what is computed for certain, and no more', () => {
    const subject = cache();
    const { slot } = place(subject, text(20), 40);
    const running = { slot, tokens: text(20), confirmed: 17 };
    const next = place(subject, text(20), 40, [running]);
    expect(next.cachedTokens).toBe(17);
    expect(next.operations).toEqual([{ type: 'copy', sequence: slot, to: next.slot, before: 17 }]);
  });

  it.each([0, 200])('says whose sequences it has forgotten, with %i tokens of main memory', (swapTokens) => {
    const subject = cache({ swapTokens });
    const begin = (owner: string, tokens: readonly number[]) => {
      const placement = subject.place(tokens, { spare: 0, running: [], owner });
      if (placement === undefined) throw new Error('there was no room');
      subject.makeRoom(tokens.length - placement.cachedTokens);
      subject.grow(placement.slot, tokens.length);
      subject.release(placement.slot, tokens, tokens.length);
    };
    begin('first', text(60));
    expect(subject.takeGone()).toEqual([]);
    // It goes on from the first one, which becomes a part of it.
    begin('second', text(70));
    begin('third', text(60, 1000));
    begin('fourth', text(60, 2000));
    const gone = subject.takeGone();
    // Main memory has room for two of these beside the one in its cells; cells alone have it for one.
    expect(new Set(gone)).toEqual(new Set(swapTokens === 0 ? ['first', 'second', 'third'] : ['first']));
    const running = subject.place(text(20, 3000), { spare: 0, running: [], owner: 'failed' });
    subject.grow(running?.slot ?? -1, 20);
    subject.takeGone();
    subject.release(running?.slot ?? -1, text(20, 3000), 0);
    expect(subject.takeGone()).toEqual(['failed']);
  });

  it('does not share the few tokens that most texts begin with', () => {
    const subject = cache();
    const { slot } = place(subject, text(40), 40);
    expect(place(subject, [...text(15), 500], 20, [{ slot, tokens: text(40), confirmed: 40 }]).cachedTokens).toBe(0);
    subject.release(slot, text(40), 40);
    expect(place(subject, [...text(15), 500], 20).cachedTokens).toBe(0);
  });

  it('always leaves a token to compute', () => {
    const subject = cache();
    const { slot } = place(subject, text(20), 24);
    subject.release(slot, text(20), 20);
    expect(place(subject, text(20), 24).cachedTokens).toBe(19);
  });

  it('lets go of what was used longest ago when a slot or cells are needed', () => {
    const subject = cache({ slots: 2 });
    const [first, second] = [place(subject, text(5, 100), 10), place(subject, text(5, 200), 10)];
    subject.release(second.slot, text(5, 200), 5);
    subject.release(first.slot, text(5, 100), 5);
    const third = place(subject, text(5, 300), 10);
    expect(third.slot).toBe(second.slot);
    expect(third.operations).toEqual([{ type: 'remove', sequence: second.slot, from: 0 }]);
    const fourth = place(subject, text(5, 400), 90);
    expect([fourth.slot, subject.freeCells]).toEqual([first.slot, 0]);
  });

  it('takes over the slot that it starts from when there is room for no second one', () => {
    const subject = cache({ slots: 1 });
    const { slot } = place(subject, text(50), 60);
    subject.release(slot, text(50), 50);
    const next = place(subject, [...text(40), 500], 100);
    expect(next).toEqual({ slot, cachedTokens: 40, operations: [{ type: 'remove', sequence: slot, from: 40 }] });
  });

  it('says when there is no room, and changes nothing then', () => {
    const subject = cache();
    place(subject, text(10), 60);
    const { slot } = place(subject, text(5, 100), 30);
    subject.release(slot, text(5, 100), 5);
    expect(subject.place(text(10, 200), { spare: 31, running: [] })).toBeUndefined();
    expect([subject.keptSequences, subject.freeCells]).toEqual([1, 35]);
  });

  it('keeps nothing where caches can not be cut back', () => {
    const subject = cache({ keeps: false });
    const { slot } = place(subject, text(10), 20);
    expect(subject.release(slot, text(12), 12)).toEqual([{ type: 'remove', sequence: slot, from: 0 }]);
    expect(place(subject, text(12), 20).cachedTokens).toBe(0);
  });

  describe('with a swap space', () => {
    /** Finishes a sequence of these tokens, and lets another one begin that has nothing of it. */
    const swapOut = (subject: PrefixCache, tokens: readonly number[]) => {
      const { slot } = place(subject, tokens, tokens.length);
      subject.release(slot, tokens, tokens.length);
      const other = place(subject, [999], 1);
      subject.release(other.slot, [999], 0);
      return { slot, operations: other.operations };
    };

    it('moves what is finished out of its cells when another sequence begins, and copies it back for one that starts alike', () => {
      const subject = cache({ swapTokens: 100 });
      const { slot, operations } = swapOut(subject, text(50));
      expect(operations).toEqual([{ type: 'swap-out', sequence: slot, place: 0 }]);
      expect(subject.freeCells).toBe(100);
      const next = place(subject, [...text(40), 500], 60);
      expect(next.cachedTokens).toBe(40);
      expect(next.operations).toEqual([{ type: 'swap-in', place: 0, sequence: next.slot, before: 40 }]);
      expect([subject.freeCells, subject.keptSequences]).toEqual([40, 1]);
    });

    it('copies back even the few tokens that most texts begin with', () => {
      const subject = cache({ swapTokens: 100 });
      const { slot } = place(subject, text(40), 40);
      subject.release(slot, text(40), 40);
      const { cachedTokens, operations } = place(subject, [...text(5), 500], 20);
      expect(cachedTokens).toBe(5);
      expect(operations.map(({ type }) => type)).toEqual(['swap-out', 'swap-in']);
    });

    it('lets a sequence go on in the cells of the one that it goes on from', () => {
      const subject = cache({ swapTokens: 100 });
      const { slot } = place(subject, text(30), 30);
      subject.release(slot, text(30), 30);
      const next = place(subject, text(40), 50);
      expect(next).toEqual({
        slot,
        cachedTokens: 30,
        operations: [{ type: 'remove', sequence: slot, from: 30 }],
      });
    });

    it('leaves no cells of a sequence that another one turns off from', () => {
      const subject = cache({ swapTokens: 100 });
      const { slot } = place(subject, text(50), 50);
      subject.release(slot, text(50), 50);
      const next = place(subject, [...text(20), 500], 30);
      expect(next.operations).toEqual([
        { type: 'swap-out', sequence: slot, place: 0 },
        { type: 'swap-in', place: 0, sequence: next.slot, before: 20 },
      ]);
      expect(subject.freeCells).toBe(70);
    });

    it('leaves what is finished in its cells while others run, until the room is needed', () => {
      const subject = cache({ swapTokens: 100 });
      const runs = place(subject, text(20, 300), 20);
      const running = [{ slot: runs.slot, tokens: text(20, 300), confirmed: 20 }];
      const { slot } = place(subject, text(50), 50, running);
      subject.release(slot, text(50), 50);
      const beside = place(subject, text(10, 500), 20, running);
      expect(beside.operations).toEqual([]);
      subject.release(beside.slot, text(10, 500), 0);
      const large = place(subject, text(10, 600), 60, running);
      expect(large.operations).toEqual([{ type: 'swap-out', sequence: slot, place: 0 }]);
    });

    it('starts in the cells of one that is too long for the space, of which nothing would be left otherwise', () => {
      const subject = cache({ swapTokens: 40 });
      const { slot } = place(subject, text(50), 50);
      subject.release(slot, text(50), 50);
      expect(place(subject, [...text(48), 500], 60).cachedTokens).toBe(48);
    });

    it('keeps a conversation once, however many turns it has', () => {
      const subject = cache({ swapTokens: 100 });
      swapOut(subject, text(30));
      expect(swapOut(subject, text(50)).operations).toContainEqual({ type: 'swap-discard', place: 0 });
      expect(swapOut(subject, text(40)).operations).toEqual([expect.objectContaining({ type: 'remove', from: 0 })]);
      expect([subject.keptSequences, subject.longestKept(text(60))]).toEqual([1, 50]);
    });

    it('discards what was used longest ago when the space is full', () => {
      const subject = cache({ swapTokens: 100 });
      for (const first of [100, 200]) swapOut(subject, text(40, first));
      swapOut(subject, text(41, 100));
      swapOut(subject, text(40, 300));
      expect([100, 200, 300].map((first) => subject.longestKept(text(41, first)))).toEqual([40, 0, 40]);
    });

    it('computes anew what would not fit while it is brought back', () => {
      const subject = cache({ swapTokens: 100 });
      swapOut(subject, text(90));
      place(subject, text(10, 500), 20);
      expect(place(subject, text(41), 50).cachedTokens).toBe(0);
    });

    it('starts from a running sequence rather than from a swapped one where both are alike', () => {
      const subject = cache({ swapTokens: 100 });
      swapOut(subject, text(20));
      const { slot } = place(subject, text(21), 30);
      const next = place(subject, text(21), 30, [{ slot, tokens: text(21), confirmed: 20 }]);
      expect(next.operations).toEqual([{ type: 'copy', sequence: slot, to: next.slot, before: 20 }]);
    });

    it('keeps the cells of a preempted sequence until it comes back, whatever else is swapped out', () => {
      const subject = cache({ swapTokens: 100 });
      const { slot } = place(subject, text(40), 40);
      const { copy, operations } = subject.preempt(slot);
      expect(operations).toEqual([{ type: 'swap-out', sequence: slot, place: 0 }]);
      for (const first of [300, 400, 500]) swapOut(subject, text(30, first));
      const placement = subject.place(text(41), { spare: 10, running: [], copy });
      expect(placement?.cachedTokens).toBe(40);
      expect(placement?.operations.slice(-2)).toEqual([
        { type: 'swap-in', place: 0, sequence: placement?.slot, before: 40 },
        { type: 'swap-discard', place: 0 },
      ]);
    });

    it('computes a preempted sequence anew where copies of others leave no room, or it is short', () => {
      const subject = cache({ swapTokens: 60 });
      const [first, second, short] = [text(30), text(30, 200), text(8, 400)].map((tokens) =>
        place(subject, tokens, tokens.length),
      );
      expect(subject.preempt(first?.slot ?? -1).copy).toBeDefined();
      expect(subject.preempt(second?.slot ?? -1)).toEqual({
        copy: undefined,
        operations: [{ type: 'remove', sequence: second?.slot, from: 0 }],
      });
      expect(subject.preempt(short?.slot ?? -1).copy).toBeUndefined();
      expect(subject.freeCells).toBe(100);
    });

    it('frees only what is its own of a preempted sequence that shares cells', () => {
      const subject = cache({ swapTokens: 100 });
      const { slot } = place(subject, text(20), 40);
      const next = place(subject, text(21), 40, [{ slot, tokens: text(20), confirmed: 20 }]);
      expect(subject.freeCells).toBe(40);
      subject.preempt(next.slot);
      expect(subject.freeCells).toBe(60);
    });

    it('moves what is behind freed cells of those that run, part by part where main memory has little room', () => {
      const subject = cache({ swapTokens: 80, cells: 200 });
      const [first, second] = [place(subject, text(30), 30), place(subject, text(30, 200), 30)];
      subject.grow(first.slot, 60);
      subject.preempt(second.slot);
      const moved = subject.settle([{ slot: first.slot, isLeaving: false }], { spare: 0 });
      expect(moved).toEqual([
        { type: 'swap-out', sequence: first.slot, place: 1, from: 30, before: 60 },
        { type: 'swap-in', place: 1, sequence: first.slot, before: 60 },
        { type: 'swap-discard', place: 1 },
      ]);
      expect(subject.settle([{ slot: first.slot, isLeaving: false }], { spare: 0 })).toEqual([]);
    });

    it('forgets all when some stage may not have it', () => {
      const subject = cache({ swapTokens: 100 });
      swapOut(subject, text(30));
      expect(subject.forgetSwapped()).toEqual([{ type: 'swap-discard', place: 0 }]);
      expect(place(subject, text(31), 40).cachedTokens).toBe(0);
    });
  });
});
