import { describe, expect, it } from 'vitest';

import { limits } from '../limits.ts';
import { decodeFrameBody, decodeValue, encodeFrame, encodeValue } from './frame.ts';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

describe('a frame', () => {
  it('keeps its header and its payload', () => {
    const header = { type: 'step', step: 3, name: 'zwölf', list: [1, 2.5, true, null], bytes: Uint8Array.of(1, 2) };
    const payload = Uint8Array.of(9, 8, 7);
    const decoded = decodeFrameBody(encodeFrame(header, payload).subarray(4));
    expect(decoded.header).toEqual(header);
    expect(decoded.payload).toEqual(payload);
  });

  it('has these bytes in version 1', () => {
    expect(hex(encodeFrame({ type: 'ring-open', stage: 2 }, Uint8Array.of(0xaa)))).toBe(
      '1c0000001700000082a474797065a972696e672d6f70656ea5737461676502aa',
    );
  });

  it.each([
    ['shorter than its header length', Uint8Array.of(1, 0)],
    ['whose header is longer than the frame', Uint8Array.of(9, 0, 0, 0, 0x80)],
    ['whose header claims four gigabytes', Uint8Array.of(255, 255, 255, 255, 0x80)],
    ['whose header is cut off', Uint8Array.of(1, 0, 0, 0, 0x81)],
    ['whose header claims a long array', Uint8Array.of(5, 0, 0, 0, 0xdd, 255, 255, 255, 255)],
  ])('%s is refused', (_name, body) => {
    expect(() => decodeFrameBody(body)).toThrow(expect.objectContaining({ code: 'protocol-violation' }));
  });

  it('says so when its header is over the limit', () => {
    const body = new Uint8Array(4 + limits.maxHeaderBytes + 1);
    new DataView(body.buffer).setUint32(0, limits.maxHeaderBytes + 1, true);
    expect(() => decodeFrameBody(body)).toThrow(
      expect.objectContaining({ code: 'frame-too-large', message: expect.stringMatching(/header.*limit/) as string }),
    );
  });

  it('decodes to plain data, whatever extensions its bytes use', () => {
    // MessagePack extensions that msgpackr would turn into an Error, a RegExp and a Set if it were let to.
    for (const extension of [0x65, 0x78, 0x73]) {
      const body = Uint8Array.of(7, 0, 0, 0, 0x81, 0xa1, 0x61, 0xd5, extension, 0x90, 0x90);
      let header: unknown;
      try {
        ({ header } = decodeFrameBody(body));
      } catch {
        continue;
      }
      const value = (header as { a: unknown }).a;
      expect(value instanceof Error || value instanceof RegExp || value instanceof Set).toBe(false);
    }
  });

  it('can not reach an object prototype', () => {
    const decoded = decodeValue(encodeValue(JSON.parse('{"__proto__": {"polluted": true}}') as object)) as object;
    expect('polluted' in decoded).toBe(false);
    expect('polluted' in {}).toBe(false);
  });
});
