import { expect, test } from 'vitest';

import { encodeFrame } from './codec/frame.ts';
import { FrameParser } from './codec/frame-parser.ts';
import { limits } from './limits.ts';
import { methods } from './methods.ts';

test('a prompt of the greatest length fits into a frame, also where a character takes two bytes', () => {
  for (const character of ['a', 'é']) {
    const prompt = { type: 'text', text: character.repeat(limits.maxPromptCharacters) };
    const frame = encodeFrame({ type: 'generate', deployment: 'd'.repeat(64), prompt });
    const [found] = new FrameParser(methods.generate).push(frame);
    expect(found?.header).toMatchObject({ prompt });
  }
});

test('a method of whose frames nothing but the header is used takes none that is over the bound of headers', () => {
  expect(methods.generate.maxFrameBytes).toBe(4 + limits.maxHeaderBytes);
});
