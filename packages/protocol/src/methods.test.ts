import { expect, test } from 'vitest';

import { encodeFrame } from './codec/frame.ts';
import { FrameParser } from './codec/frame-parser.ts';
import { fromText } from './conversation/message.ts';
import { packPrompt } from './generation/packed-prompt.ts';
import { generationRequestSchema } from './generation/request.ts';
import { limits } from './limits.ts';
import { methods } from './methods.ts';

test('the longest request fits into a frame of its method', () => {
  const grammar = '€'.repeat(limits.maxGrammarCharacters);
  const jsonSchema = '€'.repeat(limits.maxSchemaCharacters);
  const content = 'a'.repeat(limits.maxPromptBytes / limits.maxMessages);
  const messages = Array.from({ length: limits.maxMessages }, () => fromText({ role: 'developer', content }));
  const { type: prompt, bytes } = packPrompt({ type: 'chat', messages });
  const request = generationRequestSchema.parse({
    type: 'generate',
    request: 'r'.repeat(64),
    deployment: 'd'.repeat(64),
    prompt,
    jsonSchema,
    sampling: {
      grammar,
      logitBias: Array.from({ length: limits.maxLogitBiases }, () => ({ token: 100_000, bias: 0.1 })),
    },
    stop: Array.from({ length: limits.maxStopStrings }, () => '€'.repeat(limits.maxStopLength)),
  });
  const [found] = new FrameParser(methods.generate).push(encodeFrame(request, bytes));
  expect(found?.header).toEqual(request);
  expect(Buffer.compare(found?.payload ?? new Uint8Array(), bytes)).toBe(0);
});

test('a header beyond the bound of daemons is refused, however large the frame may be', () => {
  const parser = new FrameParser(methods.generate);
  const frame = encodeFrame({ text: 'x'.repeat(limits.maxControlHeaderBytes) });
  expect(() => parser.push(frame)).toThrow(expect.objectContaining({ code: 'frame-too-large' }));
});

test('a header of more values than a daemon decodes without a pause is refused, however few bytes each has', () => {
  const parser = new FrameParser(methods.generate);
  const most = limits.maxControlHeaderBytes / 4;
  const frame = (count: number) => encodeFrame(Array.from({ length: count }, () => 0));
  expect(parser.push(frame(most - 1))).toHaveLength(1);
  expect(() => parser.push(frame(most))).toThrow(expect.objectContaining({ code: 'protocol-violation' }));
});
