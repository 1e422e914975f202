import { describe, expect, it } from 'vitest';

import { encodeFrame } from './frame.ts';
import { FrameParser } from './frame-parser.ts';

const frames = [encodeFrame({ n: 1 }), encodeFrame({ n: 2 }, new Uint8Array(1000).fill(7)), encodeFrame({ n: 3 })];
const stream = Uint8Array.from(frames.flatMap((frame) => [...frame]));

describe('the frame parser', () => {
  it.each([1, 2, 3, 5, 64, 999, 5000])('finds the frames in chunks of %i bytes', (size) => {
    const parser = new FrameParser();
    const found = [];
    for (let start = 0; start < stream.length; start += size)
      found.push(...parser.push(stream.subarray(start, start + size)));
    expect(found.map(({ header }) => header)).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }]);
    expect(found[1]?.payload).toEqual(new Uint8Array(1000).fill(7));
    expect(parser.pendingBytes).toBe(0);
  });

  it('tells when a stream was cut inside a frame', () => {
    const parser = new FrameParser();
    parser.push(stream.subarray(0, stream.length - 1));
    expect(parser.pendingBytes).toBeGreaterThan(0);
  });

  it('takes time and memory by bytes, not by chunks', () => {
    const payload = Uint8Array.from({ length: 1_000_000 }, (_, index) => index % 251);
    const frame = encodeFrame({ n: 1 }, payload);
    const parser = new FrameParser();
    for (let index = 0; index < frame.byteLength - 1; index++) parser.feed(frame.subarray(index, index + 1));
    const rest = parser.takeRest();
    expect(rest.length).toBeLessThan(100);
    const found = [...rest, frame.subarray(-1)].flatMap((chunk) => parser.push(chunk));
    expect(found).toHaveLength(1);
    expect(Buffer.compare(found[0]?.payload ?? new Uint8Array(), payload)).toBe(0);
  });

  it.each([70_000, 262_144, 999_983])('puts a long frame together from chunks of %i bytes', (size) => {
    const payload = Uint8Array.from({ length: 1_000_000 }, (_, index) => index % 251);
    const long = encodeFrame({ n: 1 }, payload);
    const bytes = Buffer.concat([long, frames[0] ?? long, long, frames[2] ?? long]);
    const parser = new FrameParser();
    const found = [];
    for (let start = 0; start < bytes.length; start += size) {
      const { pendingBytes } = parser;
      const chunk = bytes.subarray(start, start + size);
      const whole = parser.push(chunk);
      const taken = whole.reduce((sum, { payload }) => sum + encodeFrame({ n: 1 }, payload).byteLength, 0);
      expect(parser.pendingBytes).toBe(pendingBytes + chunk.byteLength - taken);
      found.push(...whole);
    }
    expect(found.map(({ header }) => header)).toEqual([{ n: 1 }, { n: 1 }, { n: 1 }, { n: 3 }]);
    expect(Buffer.compare(found[2]?.payload ?? payload.subarray(1), payload)).toBe(0);
    expect(parser.pendingBytes).toBe(0);
  });

  it('hands over what it has of a long frame', () => {
    const frame = encodeFrame({ n: 1 }, new Uint8Array(1_000_000).fill(7));
    const parser = new FrameParser();
    expect(parser.push(frame.subarray(0, 500_000))).toEqual([]);
    expect(parser.begunFrameBytes).toBe(frame.byteLength);
    expect(Buffer.compare(Buffer.concat(parser.takeRest()), frame.subarray(0, 500_000))).toBe(0);
    expect(parser.pendingBytes).toBe(0);
  });

  it('refuses a frame over the limit before it has arrived', () => {
    const parser = new FrameParser({ maxFrameBytes: 100 });
    expect(() => parser.push(Uint8Array.of(101, 0, 0, 0))).toThrow(
      expect.objectContaining({ code: 'frame-too-large' }),
    );
  });

  it('takes a frame of just the limit', () => {
    const frame = encodeFrame({}, new Uint8Array(95));
    const parser = new FrameParser({ maxFrameBytes: frame.byteLength - 4 });
    expect(parser.push(frame)).toHaveLength(1);
  });
});
