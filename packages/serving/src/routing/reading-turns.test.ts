import { expect, it } from 'vitest';

import { ReadingTurns } from './reading-turns.ts';

it('answers that move to a lead have their turns one after the other, and other leads theirs', async () => {
  const turns = new ReadingTurns();
  const had: string[] = [];
  const take = async (name: string, lead: string): Promise<Disposable> => {
    const turn = await turns.take({ deployment: 'deployment-1', lead });
    had.push(name);
    return turn;
  };
  const settled = async (): Promise<void> => await new Promise(setImmediate);
  const first = await take('first', 'ada');
  const others = [take('second', 'ada'), take('third', 'ada'), take('elsewhere', 'bob')];
  await settled();
  expect(had).toEqual(['first', 'elsewhere']);
  first[Symbol.dispose]();
  first[Symbol.dispose]();
  await settled();
  expect(had).toEqual(['first', 'elsewhere', 'second']);
  (await others[0])?.[Symbol.dispose]();
  (await others[1])?.[Symbol.dispose]();
  await settled();
  await take('fourth', 'ada');
  expect(had).toEqual(['first', 'elsewhere', 'second', 'third', 'fourth']);
});
