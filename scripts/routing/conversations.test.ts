import { expect, test } from 'vitest';

import { conversations } from './conversations.ts';

test('a seed gives the same conversations, another one others', () => {
  const options = { count: 20, withinMs: 60_000 };
  expect(conversations({ ...options, seed: 1 })).toEqual(conversations({ ...options, seed: 1 }));
  expect(conversations({ ...options, seed: 2 })).not.toEqual(conversations({ ...options, seed: 1 }));
});

test('conversations share system prompts of 2 KB, and have three turns of their own', () => {
  const made = conversations({ seed: 1, count: 60, withinMs: 60_000 });
  const systems = new Set(made.map(({ system }) => system));
  expect(systems.size).toBeGreaterThan(6);
  expect(systems.size).toBeLessThanOrEqual(12);
  for (const system of systems) expect(Buffer.byteLength(system)).toBe(2048);
  expect(new Set(made.flatMap(({ turns }) => turns.map(({ text }) => text))).size).toBe(180);
  const begins = made.map(({ turns }) => turns[0]?.afterMs ?? -1);
  expect(begins.toSorted((one, other) => one - other)).toEqual(begins);
  expect(begins.at(-1)).toBeLessThan(60_000);
});
