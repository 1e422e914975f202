import { closeSync, openSync, readSync } from 'node:fs';

import { invariant, SkeinError } from '@skein/protocol';

import { openFileSource, readGgufLayout } from '../../gguf/index.ts';
import { architectureOf, metadataView, splitArchitecture } from '../../stage-file/index.ts';
import type { Dequantize, Libllama } from '../libllama/libllama.ts';

interface EmbeddingTable {
  readonly descriptor: number;
  readonly tensorOffset: number;
  readonly rowBytes: number;
  readonly rowCount: number;
  readonly hiddenSize: number;
  /** The architecture's factor for token rows, rounded to f32. */
  readonly scale: number;
  readonly toFloats: Dequantize;
}

/**
 * A look-up of token rows in a model's `token_embd`, as llama.cpp does inside a whole model: ggml's own dequantization,
 * then the architecture's factor for tokens. Rows are read from the file, which the page cache holds; they are a few
 * hundred bytes each.
 */
export class TokenEmbedder {
  readonly #table: EmbeddingTable;
  readonly #row: Uint8Array;

  private constructor(table: EmbeddingTable) {
    this.#table = table;
    this.#row = new Uint8Array(table.rowBytes);
  }

  /**
   * Opens a model's file.
   *
   * @throws SkeinError `model-invalid` when the file has no token embeddings
   */
  static async open(library: Libllama, file: string): Promise<TokenEmbedder> {
    await using source = await openFileSource(file);
    const layout = await readGgufLayout(source);
    const metadata = metadataView(layout);
    const tensor = layout.tensors.get('token_embd.weight');
    const [hiddenSize, rowCount] = tensor?.shape ?? [];
    if (tensor === undefined || hiddenSize === undefined || rowCount === undefined) {
      throw new SkeinError('model-invalid', 'the model has no token embeddings; pull it again');
    }
    const { blockElements, blockBytes, toFloats } = library.dequantizer(tensor.type);
    return new TokenEmbedder({
      descriptor: openSync(file, 'r'),
      tensorOffset: tensor.offset,
      rowBytes: (hiddenSize / blockElements) * blockBytes,
      rowCount,
      hiddenSize,
      scale: Math.fround(splitArchitecture(architectureOf(metadata))?.tokenScale(metadata) ?? 1),
      toFloats: toFloats ?? copyFloats,
    });
  }

  /** Returns the hidden rows that enter the first layer: little-endian f32, `tokens.length * hiddenSize * 4` bytes. */
  lookUp(tokens: Int32Array): Uint8Array {
    const { descriptor, tensorOffset, rowBytes, rowCount, hiddenSize, scale, toFloats } = this.#table;
    const rows = new Float32Array(tokens.length * hiddenSize);
    for (const [index, token] of tokens.entries()) {
      if (token < 0 || token >= rowCount) {
        throw new SkeinError('invalid-request', `token ${token} is outside the vocabulary of ${rowCount}`);
      }
      const read = readSync(descriptor, this.#row, 0, rowBytes, tensorOffset + token * rowBytes);
      if (read !== rowBytes)
        throw new SkeinError('model-invalid', 'the token embeddings are cut off; delete the stage files');
      toFloats(this.#row, rows.subarray(index * hiddenSize, (index + 1) * hiddenSize), hiddenSize);
    }
    // The product of two f32 is exact in a double and rounded once when it is stored: what ggml_scale computes.
    if (scale === 1) return new Uint8Array(rows.buffer);
    for (let index = 0; index < rows.length; index += 1) {
      rows[index] = invariant(rows[index], 'a row has all its elements') * scale;
    }
    return new Uint8Array(rows.buffer);
  }

  [Symbol.dispose](): void {
    closeSync(this.#table.descriptor);
  }
}

function copyFloats(from: Uint8Array, to: Float32Array): void {
  new Uint8Array(to.buffer, to.byteOffset, to.byteLength).set(from);
}
