import { isSkeinError } from '@skein/protocol';
import { describe, expect, it } from 'vitest';

import { memorySource } from './byte-source.ts';
import { decodeMetadataEntry, readGgufLayout } from './reader.ts';
import { encodeArrayEntry, encodeEntry, planGguf, type TensorToWrite } from './writer.ts';

const entries = [
  encodeEntry('general.architecture', 'string', 'llama'),
  encodeEntry('llama.block_count', 'uint32', 2),
  encodeEntry('llama.rope.freq_base', 'float32', 0.5),
  encodeEntry('llama.flag', 'bool', true),
  encodeEntry('llama.seed', 'uint64', 2n ** 63n),
  encodeEntry('llama.offset', 'int64', -3),
  encodeArrayEntry('llama.attention.head_count', 'int32', [4, -8]),
  encodeArrayEntry('tokenizer.ggml.tokens', 'string', ['a', 'bc', '']),
  encodeArrayEntry(
    'tokenizer.ggml.scores',
    'float32',
    Array.from({ length: 2000 }, (_, index) => index),
  ),
];
const tensors: TensorToWrite[] = [
  { name: 'token_embd.weight', type: 1, shape: [3, 5] },
  { name: 'blk.0.ffn_up.weight', type: 8, shape: [64, 2] },
];

function write(
  options: { entries?: readonly Uint8Array[]; tensors?: readonly TensorToWrite[]; alignment?: number } = {},
): Uint8Array {
  const plan = planGguf({
    entries: (options.entries ?? entries).map((content) => ({ content })),
    tensors: options.tensors ?? tensors,
    alignment: options.alignment ?? 32,
  });
  const file = new Uint8Array(plan.bytes);
  for (const { content, offset } of plan.parts) file.set(content, offset);
  return file;
}

async function failure(file: Uint8Array): Promise<string> {
  try {
    await readGgufLayout(memorySource(file));
  } catch (error) {
    if (isSkeinError(error) && error.code === 'model-invalid') return error.message;
    throw error;
  }
  return 'no failure';
}

/** The file with some bytes replaced at the place where a marker stands. */
function patch(file: Uint8Array, marker: string, distance: number, bytes: readonly number[]): Uint8Array {
  const patched = file.slice();
  patched.set(bytes, Buffer.from(file).indexOf(marker) + distance);
  return patched;
}

/** More than any file has. */
const huge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
/** Possible alone, but not as a product. */
const large = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0];

describe('readGgufLayout', () => {
  it('reads what the writer wrote', async () => {
    const layout = await readGgufLayout(memorySource(write()));
    expect([...layout.metadata.values()].map(({ name, type, value }) => [name, type, value])).toEqual([
      ['general.architecture', 'string', 'llama'],
      ['llama.block_count', 'uint32', 2],
      ['llama.rope.freq_base', 'float32', 0.5],
      ['llama.flag', 'bool', true],
      ['llama.seed', 'uint64', 2n ** 63n],
      ['llama.offset', 'int64', -3],
      ['llama.attention.head_count', 'array', [4, -8]],
      ['tokenizer.ggml.tokens', 'array', undefined],
      ['tokenizer.ggml.scores', 'array', undefined],
    ]);
    expect(layout.metadata.get('tokenizer.ggml.tokens')?.count).toBe(3);
    expect(layout.tensors.get('blk.0.ffn_up.weight')).toEqual({
      name: 'blk.0.ffn_up.weight',
      type: 8,
      shape: [64, 2],
      offset: layout.dataOffset + 32,
      bytes: 136,
    });
  });

  it('gives each key the byte range of its whole entry', async () => {
    const file = write();
    const { metadata } = await readGgufLayout(memorySource(file));
    const ranges = [...metadata.values()].map(({ offset, bytes }) => file.subarray(offset, offset + bytes));
    expect(ranges.map((range) => Buffer.from(range))).toEqual(entries.map((entry) => Buffer.from(entry)));
  });

  it('finds what follows a vocabulary of half a megabyte', async () => {
    const words = Array.from({ length: 40_000 }, (_, index) => 'x'.repeat(index % 10));
    const vocabulary = encodeArrayEntry('tokenizer.ggml.tokens', 'string', words);
    const { metadata, tensors } = await readGgufLayout(
      memorySource(write({ entries: [vocabulary, ...entries.slice(0, 2)] })),
    );
    expect(metadata.get('tokenizer.ggml.tokens')).toMatchObject({ bytes: vocabulary.byteLength, count: words.length });
    expect(metadata.get('llama.block_count')?.value).toBe(2);
    expect(tensors.size).toBe(2);
  });

  it('follows the alignment that the metadata give', async () => {
    const alignment = encodeEntry('general.alignment', 'uint32', 256);
    const layout = await readGgufLayout(memorySource(write({ entries: [alignment], alignment: 256 })));
    expect(layout.dataOffset % 256).toBe(0);
    expect(layout.tensors.get('blk.0.ffn_up.weight')?.offset).toBe(layout.dataOffset + 256);
  });

  it('reads texts and names that are not UTF-8, as llama.cpp does', async () => {
    const author = encodeEntry('general.author', 'string', 'Zoe in Latin-1');
    const odd = ['odd.key.1', 'odd.key.2'].map((key, index) => encodeEntry(key, 'uint8', index));
    let file = write({ entries: [...entries, author, ...odd] });
    file = patch(file, 'Zoe', 2, [0xeb]);
    // Both would be the same with U+FFFD in the place of what can't be decoded.
    file = patch(file, 'odd.key.1', 8, [0xfe]);
    file = patch(file, 'odd.key.2', 8, [0xff]);
    const { metadata } = await readGgufLayout(memorySource(file));
    expect(metadata.get('general.author')?.value).toBe('Zo\u{fffd} in Latin-1');
    expect(metadata.get('odd.key.\u00fe')?.value).toBe(0);
    expect(metadata.get('odd.key.\u00ff')?.value).toBe(1);
    expect(metadata.get('general.architecture')?.value).toBe('llama');
  });

  it('refuses a file cut off anywhere', async () => {
    const file = write();
    // The last tensor's padding may be missing.
    for (let bytes = 0; bytes <= file.byteLength - 32; bytes += 7) {
      expect(await failure(file.subarray(0, bytes)), `at ${bytes}`).toMatch(/truncated/);
    }
  });

  it('throws nothing but its own error however a file is damaged', async () => {
    const file = write();
    for (let offset = 0; offset < file.byteLength; offset++) {
      for (const value of [0, 0x7f, 0xff]) {
        const damaged = file.slice();
        damaged[offset] = value;
        expect(await failure(damaged)).toEqual(expect.any(String));
      }
    }
  });

  it.each([
    ['another format', patch(write(), 'GGUF', 0, [0x50]), /not a GGUF file/],
    ['version 1', patch(write(), 'GGUF', 4, [1]), /version 1/],
    ['big endian', patch(write(), 'GGUF', 4, [0, 0, 0, 3]), /big endian/],
    ['an absurd number of tensors', patch(write(), 'GGUF', 8, huge), /tensors, at most/],
    ['an absurd number of keys', patch(write(), 'GGUF', 16, huge), /metadata keys, at most/],
    ['an absurd key length', patch(write(), 'general.architecture', -8, huge), /impossible length/],
    ['an absurd array length', patch(write(), 'tokenizer.ggml.scores', 29, huge), /impossible length/],
    ['an array longer than the file', patch(write(), 'tokenizer.ggml.tokens', 29, [0xff, 0xff]), /truncated/],
    ['an array of arrays', patch(write(), 'tokenizer.ggml.tokens', 25, [9]), /array of arrays/],
    ['an unknown value type', patch(write(), 'llama.flag', 10, [77]), /unknown value type 77/],
    ['a key twice', write({ entries: [...entries, ...entries] }), /twice/],
    ['a tensor twice', write({ tensors: [...tensors, ...tensors] }), /twice/],
    ['an empty key', write({ entries: [encodeEntry('', 'uint8', 1)] }), /a metadata key is empty/],
    ['a key of a kilobyte', write({ entries: [encodeEntry('k'.repeat(1024), 'uint8', 1)] }), /beyond what Skein takes/],
    [
      'an alignment of a megabyte',
      write({ entries: [encodeEntry('general.alignment', 'uint32', 2 ** 20)] }),
      /beyond what Skein takes/,
    ],
    ['an alignment of zero', write({ entries: [encodeEntry('general.alignment', 'uint32', 0)] }), /alignment/],
    ['an unknown tensor type', patch(write(), 'token_embd.weight', 17 + 4 + 16, [200]), /ggml type 200/],
    ['an overflowing shape', patch(write(), 'token_embd.weight', 17 + 4, [...large, ...large]), /impossible shape/],
    ['overlapping tensors', patch(write(), 'blk.0.ffn_up.weight', 19 + 4 + 16 + 4, [0]), /is at 0 of the data/],
    ['five dimensions', patch(write(), 'token_embd.weight', 17, [5]), /5 dimensions/],
  ])('refuses %s', async (_, file, message) => {
    expect(await failure(file)).toMatch(message);
  });
});

describe('decodeMetadataEntry', () => {
  it('decodes an entry that was copied out of a file', async () => {
    expect(await decodeMetadataEntry(encodeEntry('llama.block_count', 'uint32', 7))).toMatchObject({
      name: 'llama.block_count',
      value: 7,
    });
  });

  it('refuses stray bytes behind it', async () => {
    const content = Buffer.concat([encodeEntry('a', 'uint8', 1), new Uint8Array(1)]);
    await expect(decodeMetadataEntry(content)).rejects.toThrow(/stray bytes/);
  });
});
