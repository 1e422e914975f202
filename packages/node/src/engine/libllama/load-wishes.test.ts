import { parseMetadataOverride } from '@skein/protocol';
import { expect, test } from 'vitest';

import { encodeOverrides, LoadNotes } from './load-wishes.ts';

const overrides = ['llama.rope.freq_base=float:1e6'].map(parseMetadataOverride);

test('lays overrides out as llama.cpp reads them', () => {
  const bytes = encodeOverrides(
    ['a.b=int:-2', 'c=float:0.5', 'd=bool:true', 'e=str:text'].map((text) => parseMetadataOverride(text)),
  );
  const view = new DataView(bytes.buffer);
  expect(bytes).toHaveLength(5 * 264);
  expect([0, 1, 2, 3, 4].map((index) => view.getInt32(index * 264, true))).toEqual([0, 1, 2, 3, 0]);
  expect(new TextDecoder().decode(bytes.subarray(4, 8))).toBe('a.b\0');
  expect(view.getBigInt64(136, true)).toBe(-2n);
  expect(view.getFloat64(264 + 136, true)).toBe(0.5);
  expect(view.getUint8(2 * 264 + 136)).toBe(1);
  expect(new TextDecoder().decode(bytes.subarray(3 * 264 + 136, 3 * 264 + 141))).toBe('text\0');
  expect(view.getUint8(4 * 264 + 4)).toBe(0);
});

test('takes an override that the log names as applied', () => {
  const notes = new LoadNotes();
  notes.add("validate_override: Using metadata override (float) 'llama.rope.freq_base' = ");
  expect(() => notes.check({ overrides, hasAllKeys: true })).not.toThrow();
});

test('names an override that found no key, where the file has all of them', () => {
  const notes = new LoadNotes();
  expect(() => notes.check({ overrides })).not.toThrow();
  expect(() => notes.check({ overrides, hasAllKeys: true })).toThrow('llama.cpp reads no llama.rope.freq_base');
});

test('names the type that a key has', () => {
  const notes = new LoadNotes();
  notes.add("validate_override: Warning: Bad metadata override type for key 'a.b', expected bool but got int\n");
  expect(() => notes.check({ overrides })).toThrow('give it as a.b=bool:value');
});

test('says what to do when memory could not be locked, to those who asked', () => {
  const notes = new LoadNotes();
  notes.add('warning: failed to mlock 1000-byte buffer (after previously locking 0 bytes): Cannot allocate memory\n');
  expect(() => notes.check({})).not.toThrow();
  expect(() => notes.check({ locks: true })).toThrow('ulimit -l');
  notes.clear();
  expect(() => notes.check({ locks: true })).not.toThrow();
});
