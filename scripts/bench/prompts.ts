import { seededRandom } from '../fixtures/random.ts';
import type { Prompt } from './completion.ts';
import type { BenchModel } from './models.ts';

/** Ids that are plain words in the vocabularies of both models. */
const tokenIds = { from: 1000, to: 30_000 };

let used = 0;

/** Tokens that no run has used before, from the first on: no server has anything of them in a cache. */
export function newTokens(count: number): number[] {
  used += 1;
  const random = seededRandom(used);
  const { from, to } = tokenIds;
  return Array.from({ length: count }, () => from + Math.floor(random.uniform() * (to - from)));
}

/** As many prompts as asked for that models go on and on after: none stops to count. The same number gives the same prompts. */
export function endlessPrompts({ key }: Pick<BenchModel, 'key'>, count: number, number: number): Prompt[] {
  return Array.from({ length: count }, (_, index) => {
    // Differs early, so that hardly anything of it can be in a cache.
    const id = number * 100 + index;
    if (key === 'smollm2')
      return [1, 2, 3]
        .map((step) => `${1000 + id * 10 + step}, `)
        .join('')
        .trimEnd();
    const random = seededRandom(id);
    return Array.from({ length: 8 }, () => tokenIds.from + Math.floor(random.uniform() * 20_000));
  });
}
