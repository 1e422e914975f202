import { expect, test } from 'vitest';

import type { Doubt } from './ledger.ts';
import { consultOracle } from './oracle.ts';
import type { WrongAnswer } from './report.ts';
import { drawRequests } from './requests.ts';

const [request] = drawRequests({ models: ['model'], seed: 1, leastTokens: 10, mostTokens: 20 });
const length = 200;

/** The token that follows some, of which it depends on all. */
const next = (tokens: readonly number[]): number =>
  tokens.reduce((sum, token) => (sum * 31 + token + 7) % 10_007, tokens.length);

function continued(tokens: readonly number[]): readonly number[] {
  const all = [...tokens];
  while (all.length < length) all.push(next(all));
  return all;
}

const client = {
  replay: async (_: unknown, tokens: readonly number[]) => continued(tokens).slice(tokens.length),
};

async function consult(answer: readonly number[], at: number) {
  if (request === undefined) throw new Error('no request');
  const parts = { delivered: answer.slice(0, at), followed: answer.slice(at), isWhole: true };
  const doubt: Doubt = { request, choice: 0, ...parts };
  const wrong: WrongAnswer[] = [];
  const ledger = { doubts: [doubt], wrong: (one: WrongAnswer) => void wrong.push(one) };
  const signal = new AbortController().signal;
  return { ...(await consultOracle(client, ledger, { timeoutMs: 60_000, signal })), wrong: wrong.length };
}

test('takes an answer that goes on as a fresh request does', async () => {
  expect(await consult(continued([]), 40)).toEqual({ replays: 1, wrong: 0 });
});

test.each([
  ['another token, from which it goes on', continued([...continued([]).slice(0, 50), 3])],
  ['a token twice', [...continued([]).slice(0, 50), ...continued([]).slice(49, -1)]],
  ['a token less', [...continued([]).slice(0, 50), ...continued([]).slice(51), 0]],
  ['an end that comes too soon', continued([]).slice(0, -1)],
])('does not take one with %s', async (_, answer) => {
  expect(await consult(answer, 40)).toMatchObject({ wrong: 1 });
});
