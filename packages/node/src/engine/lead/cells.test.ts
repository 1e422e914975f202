import { describe, expect, it } from 'vitest';

import { Cells } from './cells.ts';

describe('the accounting of KV cells', () => {
  it('counts cells that several slots share once', () => {
    const cells = new Cells(100);
    cells.extend(0, 40);
    cells.share(0, 1, 30);
    cells.extend(1, 50);
    expect(cells.free).toBe(100 - 40 - 20);
  });

  it('frees a shared cell when the last slot lets go of it', () => {
    const cells = new Cells(100);
    cells.extend(0, 40);
    cells.share(0, 1, 30);
    cells.truncate(0, 0);
    expect(cells.free).toBe(70);
    cells.truncate(1, 10);
    expect(cells.free).toBe(90);
    cells.truncate(1, 0);
    expect(cells.free).toBe(100);
  });

  it('tells what would be free if some slots let go', () => {
    const cells = new Cells(100);
    cells.extend(0, 40);
    cells.share(0, 1, 30);
    cells.extend(1, 35);
    expect(cells.heldByNoneBut([0])).toBe(10);
    expect(cells.heldByNoneBut([1])).toBe(5);
    expect(cells.heldByNoneBut([0, 1])).toBe(45);
  });

  it('gives no more cells than there are', () => {
    const cells = new Cells(10);
    cells.extend(0, 6);
    expect(() => cells.extend(1, 5)).toThrow(RangeError);
    expect(cells.free).toBe(4);
  });

  it('gives out the lowest cells that are free, and tells which of a slot lie in order before those', () => {
    const cells = new Cells(20);
    cells.extend(0, 4);
    cells.extend(1, 3);
    cells.extend(0, 6);
    expect([cells.countInOrder(0), cells.countInOrder(1)]).toEqual([6, 3]);
    cells.truncate(1, 0);
    expect(cells.countInOrder(0)).toBe(4);
    cells.move(0, 4, 6);
    expect(cells.countInOrder(0)).toBe(6);
    cells.extend(2, 14);
    expect([cells.free, cells.countInOrder(2)]).toEqual([0, 14]);
  });

  it('gives a slot cells of its own for those that it shares, which stay with the others', () => {
    const cells = new Cells(20);
    cells.extend(0, 2);
    cells.extend(1, 4);
    cells.share(1, 2, 3);
    cells.extend(2, 5);
    cells.truncate(1, 0);
    expect(cells.countInOrder(2)).toBe(3);
    cells.share(2, 3, 4);
    expect([cells.countInOrder(2), cells.countShared(2, 3), cells.free]).toEqual([3, 1, 13]);
    cells.move(2, 3, 5);
    expect([cells.countInOrder(2), cells.countShared(2, 3), cells.free]).toEqual([5, 0, 12]);
    expect([cells.count(3), cells.countInOrder(3)]).toEqual([4, 4]);
  });
});
