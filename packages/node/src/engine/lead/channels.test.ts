import { describe, expect, it } from 'vitest';

import { ChannelFilter, findChannelMarks, type ChannelMarks } from './channels.ts';

const marks: ChannelMarks = { start: 1, channel: 2, message: 3, end: 4 };
const texts: ReadonlyMap<string, number> = new Map([
  ['<start>', marks.start],
  ['<channel>', marks.channel],
  ['<message>', marks.message],
  ['<end>', marks.end],
]);

/** Returns the shown part of an answer: each piece is a token, marks by their names. */
function show(pieces: readonly string[], prompt: readonly number[] = [9, marks.start, 8]): string[] {
  const filter = new ChannelFilter(marks, prompt);
  const shown = pieces.map((piece) => {
    const mark = texts.get(piece);
    // Some models' marks have a text, others' none.
    return filter.push(mark ?? 100, new TextEncoder().encode(piece));
  });
  return [...shown, filter.end()].map((bytes) => new TextDecoder().decode(bytes));
}

const analysis = ['<channel>', 'analysis', '<message>', 'I', ' think', '<end>'];
const final = ['<start>', 'assistant', '<channel>', 'final', '<message>', 'It', ' is'];

describe('the channels of an answer', () => {
  it('shows the final one as it comes, and not what the model thinks', () => {
    expect(show([...analysis, ...final])).toEqual(['', '', '', '', '', '', '', '', '', '', '', 'It', ' is', '']);
  });

  it('shows an answer without thoughts', () => {
    expect(show(['<channel>', 'final', '<message>', 'Yes']).join('')).toBe('Yes');
  });

  it('shows nothing of thoughts that are cut', () => {
    expect(show(['<channel>', 'analysis', '<message>', 'I', ' think']).join('')).toBe('');
  });

  it('shows every other message, with a blank line between', () => {
    const preamble = ['<channel>', 'comm', 'entary', '<message>', 'Let', ' me see.', '<end>'];
    expect(show([...preamble, ...final]).join('')).toBe('Let me see.\n\nIt is');
  });

  it('reads a header with more than the channel in it', () => {
    expect(show(['<channel>', 'analysis', ' to=x', ' json', '<message>', 'no', '<end>', ...final]).join('')).toBe(
      'It is',
    );
  });

  it.each([
    ['no marks', ['Just', ' text'], 'Just text'],
    ['a header that never ends', ['<channel>', 'final', ' and', ' more'], 'final and more'],
    ['two headers', ['lost', '<start>', 'assistant', '<channel>', 'final', '<message>', 'x'], 'lost\n\nx'],
    ['text behind a message', ['<channel>', 'final', '<message>', 'a', '<end>', 'b'], 'ab'],
    ['a message without a channel', ['<message>', 'a'], 'a'],
  ])('loses no text of an answer with %s', (_, pieces, expected) => {
    expect(show(pieces).join('')).toBe(expected);
  });

  it('streams what is too long for a header', () => {
    const pieces = Array.from({ length: 100 }, (_, index) => `${index} `);
    const shown = show(pieces);
    expect(shown.join('')).toBe(pieces.join(''));
    expect(shown.slice(40, 43)).toEqual(['40 ', '41 ', '42 ']);
  });

  it.each([
    ['inside a message', [marks.start, marks.channel, 7, marks.message]],
    ['of a template without headers', [7, 8, 9]],
    ['behind a message', [marks.start, marks.message, 7, marks.end]],
  ])('shows all of an answer that begins %s', (_, prompt) => {
    expect(show(['a', 'b'], prompt)).toEqual(['a', 'b', '']);
  });
});

describe('the marks of a vocabulary', () => {
  const encode = (known: readonly string[]) => (text: string) => {
    const index = known.indexOf(text);
    return index < 0 ? [500, 501, 502] : [index];
  };

  it('are those four tokens', () => {
    const all = ['<|start|>', '<|channel|>', '<|message|>', '<|end|>'];
    expect(findChannelMarks({ encode: encode(all) })).toEqual({ start: 0, channel: 1, message: 2, end: 3 });
  });

  it('are none where one is missing', () => {
    expect(findChannelMarks({ encode: encode(['<|start|>', '<|message|>', '<|end|>']) })).toBeUndefined();
  });
});
