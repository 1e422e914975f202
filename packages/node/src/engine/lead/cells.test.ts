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
});
