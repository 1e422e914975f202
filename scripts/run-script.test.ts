import { expect, test } from 'vitest';

import { parseScript } from './run-script.ts';

const numbers = {
  rounds: { default: 10, least: 1 },
  seed: { default: 1 },
  minutes: { default: 5, least: 0, takesParts: true },
};
const texts = {
  fleet: {
    default: 'even',
    parse: (text: string): number => {
      if (text === '') throw new Error('--fleet takes a name');
      return text.length;
    },
  },
};
const options = { numbers, texts, flags: ['all'] } as const;
const parse = (words: string) => parseScript(options, words.split(' ').filter((word) => word !== '')); // prettier-ignore

test('takes numbers, words and flags, and has defaults', () => {
  const defaults = { rounds: 10, seed: 1, minutes: 5, fleet: 4, all: false, json: false };
  expect(parse('')).toEqual(defaults);
  const told = { rounds: 3, seed: -7, minutes: 0.5, json: true };
  expect(parse('--rounds 3 --seed=-7 --minutes 0.5 --json')).toEqual({ ...defaults, ...told });
  expect(parse('--fleet mixed --all')).toEqual({ ...defaults, fleet: 5, all: true });
  expect(parse('-h')).toBeUndefined();
});

test.each([
  ['--rounds 0', '--rounds takes a whole number from 1 on'],
  ['--rounds 1.5', '--rounds takes a whole number from 1 on'],
  ['--rounds=', '--rounds takes a whole number from 1 on'],
  ['--seed x', '--seed takes a whole number'],
  ['--minutes 0', '--minutes takes a number above 0'],
  ['--minutes Infinity', '--minutes takes a number above 0'],
  ['--fleet=', '--fleet takes a name'],
  ['--other 1', "Unknown option '--other'"],
])('refuses %s', (words, message) => {
  expect(() => parse(words)).toThrow(message);
});
