import { seededRandom } from '../fixtures/random.ts';
import type { Prompt } from './completion.ts';
import type { BenchModel } from './models.ts';

/** Ids of plain words in the vocabularies of both models. */
const tokenIds = { from: 1000, to: 30_000 };

let used = 0;

/** Returns tokens that no run has used before, from the first one on: no server has any of them in a cache. */
export function newTokens(count: number): number[] {
  used += 1;
  const random = seededRandom(used);
  const { from, to } = tokenIds;
  return Array.from({ length: count }, () => from + Math.floor(random.uniform() * (to - from)));
}

/** Beginnings of stories, which continue as ordinary prose that seldom repeats itself. */
const openings = [
  'The harbour was empty when the storm came in from the west, and',
  'My grandmother kept bees on the roof of her house, and every morning',
  'In the winter of that year the river froze for the first time, so',
  'The train was late again, which gave the two strangers on the platform time to',
  'Nobody in the village had seen the old clockmaker for a week, until',
  'The map that she had found in the attic showed a road through the forest where',
  'When the last lamp in the street went out, the baker opened his door and',
  'The letter had taken eleven years to arrive, and it said that',
];

/** Returns `count` prompts that models continue without end. The same `number` gives the same prompts. */
export function prosePrompts({ key }: Pick<BenchModel, 'key'>, count: number, number: number): Prompt[] {
  return Array.from({ length: count }, (_, index) => {
    // Differs early, so that hardly anything of it can be in a cache.
    const id = number * 100 + index;
    if (key === 'smollm2') return `Story number ${1000 + id}. ${openings[(number + index) % openings.length] ?? ''}`;
    const random = seededRandom(id);
    return Array.from({ length: 8 }, () => tokenIds.from + Math.floor(random.uniform() * 20_000));
  });
}
