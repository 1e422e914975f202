import { seeded } from '../random.ts';
import type { Trace, TracedRequest } from './request.ts';

/** Tokens of a block: smaller than in recorded traces, since system prompts are. */
const blockTokens = 128;

/**
 * Makes up conversations of an office: a dozen system prompts of 512 tokens, each shared by many conversations of up to
 * eight turns, whose turns follow one another after the answer and a pause.
 */
export function conversations(seed: number, count = 2000): Trace {
  const random = seeded(seed);
  const requests: TracedRequest[] = [];
  let nextBlock = 1000;
  for (let nth = 0; nth < count; nth += 1) {
    const system = Math.floor(random() * 12);
    const blocks = Array.from({ length: 4 }, (_, index) => system * 4 + index);
    let atMs = random() * 3_600_000;
    const turns = 1 + Math.floor(random() * 8);
    for (let turn = 0; turn < turns; turn += 1) {
      const added = 1 + Math.floor(random() * 4);
      for (let index = 0; index < added; index += 1) blocks.push((nextBlock += 1));
      const outputTokens = 32 + Math.floor(random() * 256);
      requests.push({ atMs, tokens: blocks.length * blockTokens, outputTokens, blocks: [...blocks] });
      atMs += 20_000 + random() * 60_000;
    }
  }
  return { name: 'conversations', blockTokens, requests: requests.toSorted((one, other) => one.atMs - other.atMs) };
}
