import { PromptDigests } from '@skein/mesh';
import { packPrompt, prefixLimits, type PackedPrompt } from '@skein/protocol';
import { expect, test } from 'vitest';

import { HeldPrefixes } from './held-prefixes.ts';

const key = new Uint8Array(prefixLimits.keyBytes).fill(7);
const digests = new PromptDigests(key);
const system = 'You answer briefly. '.repeat(60);

function promptOf(question: string): PackedPrompt {
  return packPrompt({ type: 'text', text: `${system}${question.repeat(100)}` });
}

/** Holds prompts whole, and returns what a router is told from now on. */
function holding(...prompts: readonly PackedPrompt[]) {
  const prefixes = new HeldPrefixes();
  prefixes.takeKey(key);
  for (const [nth, prompt] of prompts.entries()) {
    prefixes.note(`${nth}`, prompt);
    prefixes.change({ held: [{ id: `${nth}`, tokens: 10, of: 10 }], gone: [] });
    prefixes.ended(`${nth}`);
  }
  return prefixes;
}

test('tells of the part of a prompt that the engine holds, and of no more once it holds nothing of it', () => {
  const prompt = promptOf('Why is the sky blue? ');
  const prefixes = holding(prompt);
  using following = prefixes.follow();
  expect(following.take()).toEqual({ added: digests.of(prompt), removed: [] });
  prefixes.change({ held: [{ id: '0', tokens: 5, of: 10 }], gone: [] });
  const left = Math.floor(digests.of(prompt).length / 2);
  expect(following.take()).toEqual({ added: [], removed: digests.of(prompt).slice(left) });
  prefixes.change({ held: [], gone: ['0'] });
  expect(following.take()).toEqual({ added: [], removed: digests.of(prompt).slice(0, left) });
  prefixes.change({ held: [{ id: '0', tokens: 10, of: 10 }], gone: ['another'] });
  expect(following.take()).toEqual({ added: [], removed: [] });
});

test('tells of an answer once the engine holds it behind the whole prompt, and until it holds less', () => {
  const answer = 'Because of Rayleigh. '.repeat(100);
  const prompts = [promptOf('Why is the sky blue? '), packPrompt({ type: 'text', text: 'Why?' })];
  for (const prompt of prompts) {
    const prefixes = holding(prompt);
    using following = prefixes.follow();
    following.take();
    const ofAnswer = digests.ofAnswer(prompt, answer);
    expect(ofAnswer.length).toBeGreaterThan(3);
    prefixes.change({ held: [{ id: '0', tokens: 10, of: 10, answer }], gone: [] });
    expect(following.take()).toEqual({ added: ofAnswer, removed: [] });
    prefixes.change({ held: [{ id: '0', tokens: 10, of: 10 }], gone: [] });
    expect(following.take()).toEqual({ added: [], removed: ofAnswer });
    prefixes.change({ held: [{ id: '0', tokens: 9, of: 10, answer }], gone: [] });
    expect(following.take().added).toEqual([]);
  }
});

test('keeps what two prompts begin with until neither is held', () => {
  const [one, other] = [promptOf('Why? '), promptOf('How? ')];
  const prefixes = holding(one, other);
  using following = prefixes.follow();
  const shared = digests.of(one).filter((digest) => digests.of(other).includes(digest));
  expect(shared).toHaveLength(2);
  expect(new Set(following.take().added)).toEqual(new Set([...digests.of(one), ...digests.of(other)]));
  prefixes.change({ held: [], gone: ['0'] });
  expect(following.take().removed).toEqual(digests.of(one).slice(2));
  prefixes.change({ held: [], gone: ['1'] });
  expect(following.take().removed).toEqual(digests.of(other));
});

test('forgets a generation that ends before anything of it was computed, and knows nothing without a key', () => {
  const prefixes = new HeldPrefixes();
  const prompt = promptOf('Why? ');
  prefixes.note('early', prompt);
  prefixes.change({ held: [{ id: 'early', tokens: 10, of: 10 }], gone: [] });
  prefixes.takeKey(key);
  prefixes.takeKey(new Uint8Array(prefixLimits.keyBytes));
  expect(prefixes.key).toEqual(key);
  prefixes.note('refused', prompt);
  prefixes.ended('refused');
  prefixes.change({ held: [{ id: 'refused', tokens: 10, of: 10 }], gone: [] });
  using following = prefixes.follow();
  expect(following.take()).toEqual({ added: [], removed: [] });
});

test('tells in messages of bounded size, of a bounded number of digests, and of nothing that is undone by then', async () => {
  const long = Array.from({ length: 12 }, (_, nth) => packPrompt({ type: 'text', text: `${nth}`.repeat(900_000) }));
  const prefixes = holding(...long);
  using following = prefixes.follow();
  await following.changed();
  const told: number[] = [];
  for (let change = following.take(); change.added.length > 0; change = following.take()) {
    expect(change.added.length).toBeLessThanOrEqual(prefixLimits.maxChange);
    told.push(...change.added);
  }
  expect(new Set(told).size).toBe(prefixLimits.maxHeld);
  prefixes.change({ held: [{ id: '0', tokens: 0, of: 10 }], gone: [] });
  prefixes.change({ held: [{ id: '0', tokens: 10, of: 10 }], gone: [] });
  expect(following.take()).toEqual({ added: [], removed: [] });
});

test('tells that nothing is held any more once the cache was lost', () => {
  const prompts = [promptOf('Why is the sky blue? '), promptOf('Why is grass green? ')];
  const prefixes = holding(...prompts);
  using following = prefixes.follow();
  const { added } = following.take();
  prefixes.clear();
  expect(new Set(following.take().removed)).toEqual(new Set(added));
  using later = prefixes.follow();
  expect(later.take()).toEqual({ added: [], removed: [] });
});
