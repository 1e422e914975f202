import { describe, expect, it } from 'vitest';

import { PrefixCache, type Placement } from './prefix-cache.ts';

const text = (length: number, first = 0): number[] => Array.from({ length }, (_, index) => first + index);

function cache(options: Partial<ConstructorParameters<typeof PrefixCache>[0]> = {}): PrefixCache {
  return new PrefixCache({ slots: 3, cells: 100, keeps: true, breakEvenRows: Infinity, ...options });
}

function placed(placement: Placement | undefined): Placement {
  if (placement === undefined) throw new Error('there was no room');
  return placement;
}

describe('the prefix cache', () => {
  it('starts a sequence in the slot of a finished one that it goes on from', () => {
    const subject = cache();
    const { slot } = placed(subject.place(text(10), 20, []));
    expect(subject.release(slot, text(12), 12)).toEqual([{ type: 'remove', sequence: slot, from: 12 }]);
    expect(subject.place(text(15), 30, [])).toEqual({
      slot,
      cachedTokens: 12,
      operations: [{ type: 'remove', sequence: slot, from: 12 }],
    });
    expect(subject.freeCells).toBe(70);
  });

  it('copies what is alike, and keeps the other, when a sequence turns off half-way', () => {
    const subject = cache();
    const { slot } = placed(subject.place(text(10), 12, []));
    subject.release(slot, text(12), 12);
    const next = placed(subject.place([...text(8), 500, 501], 20, []));
    expect(next.cachedTokens).toBe(8);
    expect(next.operations).toEqual([{ type: 'copy', sequence: slot, to: next.slot, before: 8 }]);
    expect([subject.keptSequences, subject.freeCells]).toEqual([1, 100 - 12 - 12]);
  });

  it('shares of a running sequence what is computed for certain, and no more', () => {
    const subject = cache();
    const { slot } = placed(subject.place(text(10), 20, []));
    const running = { slot, tokens: text(10), confirmed: 6 };
    const next = placed(subject.place(text(10), 20, [running]));
    expect(next.cachedTokens).toBe(6);
    expect(next.operations).toEqual([{ type: 'copy', sequence: slot, to: next.slot, before: 6 }]);
  });

  it('always leaves a token to compute', () => {
    const subject = cache();
    const { slot } = placed(subject.place(text(10), 12, []));
    subject.release(slot, text(10), 10);
    expect(placed(subject.place(text(10), 12, [])).cachedTokens).toBe(9);
  });

  it('lets go of what was used longest ago when a slot or cells are needed', () => {
    const subject = cache({ slots: 2 });
    const [first, second] = [placed(subject.place(text(5, 100), 10, [])), placed(subject.place(text(5, 200), 10, []))];
    subject.release(second.slot, text(5, 200), 5);
    subject.release(first.slot, text(5, 100), 5);
    const third = placed(subject.place(text(5, 300), 10, []));
    expect(third.slot).toBe(second.slot);
    expect(third.operations).toEqual([{ type: 'remove', sequence: second.slot, from: 0 }]);
    const fourth = placed(subject.place(text(5, 400), 90, []));
    expect([fourth.slot, subject.freeCells]).toEqual([first.slot, 0]);
  });

  it('takes over the slot that it starts from when there is room for no second one', () => {
    const subject = cache({ slots: 1 });
    const { slot } = placed(subject.place(text(50), 60, []));
    subject.release(slot, text(50), 50);
    const next = placed(subject.place([...text(40), 500], 100, []));
    expect(next).toEqual({ slot, cachedTokens: 40, operations: [{ type: 'remove', sequence: slot, from: 40 }] });
  });

  it('says when there is no room, and changes nothing then', () => {
    const subject = cache();
    placed(subject.place(text(10), 60, []));
    const { slot } = placed(subject.place(text(5, 100), 30, []));
    subject.release(slot, text(5, 100), 5);
    expect(subject.place(text(10, 200), 41, [])).toBeUndefined();
    expect([subject.keptSequences, subject.freeCells]).toEqual([1, 35]);
  });

  it('keeps nothing where caches can not be cut back', () => {
    const subject = cache({ keeps: false });
    const { slot } = placed(subject.place(text(10), 20, []));
    expect(subject.release(slot, text(12), 12)).toEqual([{ type: 'remove', sequence: slot, from: 0 }]);
    expect(placed(subject.place(text(12), 20, [])).cachedTokens).toBe(0);
  });

  describe('where what is kept slows down all that is computed beside it', () => {
    /** Finishes a sequence of these tokens. */
    const finish = (subject: PrefixCache, tokens: readonly number[]): Placement => {
      const placement = placed(subject.place(tokens, tokens.length, []));
      subject.release(placement.slot, tokens, tokens.length);
      return placement;
    };

    it('lets go, when the next sequence begins, of what has cost more than it can be expected to save', () => {
      const subject = cache({ slots: 8, cells: 1000, breakEvenRows: 1000 });
      finish(subject, text(50));
      subject.pass(50);
      finish(subject, text(50, 100));
      expect(subject.keptSequences).toBe(2);
      subject.pass(40);
      const { operations } = finish(subject, text(50, 200));
      expect(operations).toEqual([expect.objectContaining({ type: 'remove', from: 0 })]);
      expect(subject.keptSequences).toBe(2);
    });

    it('keeps what is used again for longer', () => {
      const subject = cache({ slots: 8, cells: 1000, breakEvenRows: 1000 });
      for (let turn = 0; turn < 10; turn += 1) {
        finish(subject, text(50 + turn));
        subject.pass(150);
      }
      subject.pass(400);
      finish(subject, text(50, 500));
      expect(subject.longestKept(text(60))).toBe(59);
    });

    it('keeps longer what it learns that it let go of too early', () => {
      const subject = cache({ slots: 8, cells: 1000, breakEvenRows: 1000 });
      const cachedTokens = Array.from({ length: 20 }, () => {
        const placement = finish(subject, text(50));
        subject.pass(400);
        finish(subject, text(50, 900));
        subject.pass(100);
        return placement.cachedTokens;
      });
      expect(cachedTokens[1]).toBe(0);
      expect(cachedTokens.at(-1)).toBe(49);
    });

    it('forgets nothing while nothing is computed', () => {
      const subject = cache({ slots: 8, cells: 1000, breakEvenRows: 1 });
      finish(subject, text(50));
      expect(placed(subject.place(text(60), 60, [])).cachedTokens).toBe(50);
    });
  });
});
