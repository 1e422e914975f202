import { describe, expect, it } from 'vitest';

import { drawSeed } from './draw-seed.ts';

describe('the seed of a draw', () => {
  it('is a function of seed and position', () => {
    expect(drawSeed(7, 100)).toBe(drawSeed(7, 100));
  });

  it('is an unsigned 32-bit number that differs between neighbouring positions and seeds', () => {
    const seeds = new Set<number>();
    for (let seed = 0; seed < 100; seed += 1) {
      for (let position = 0; position < 100; position += 1) seeds.add(drawSeed(seed, position));
    }
    // 10,000 draws from 2^32 collide about 0.01 times.
    expect(seeds.size).toBeGreaterThan(9990);
    for (const value of seeds) expect(Number.isInteger(value) && value >= 0 && value <= 0xffff_ffff).toBe(true);
  });
});
