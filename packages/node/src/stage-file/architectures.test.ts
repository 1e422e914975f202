import { limits } from '@skein/protocol';
import { describe, expect, it } from 'vitest';

import type { Value } from '../gguf/index.ts';
import { splitArchitecture, splitRule } from './architectures.ts';

function metadata(architecture: string, values: Record<string, Value>): Map<string, Value> {
  return new Map<string, Value>([
    ['general.architecture', architecture],
    ...Object.entries(values).map(([key, value]): [string, Value] => [`${architecture}.${key}`, value]),
  ]);
}

describe('splitRule', () => {
  it('lets models of plain architectures be cut anywhere', () => {
    expect(splitRule(metadata('llama', { block_count: 32 }))).toEqual({ allowed: true, multiple: 1 });
  });

  it('refuses architectures that are not proved, with the reason', () => {
    expect(splitRule(metadata('mamba', { block_count: 32 }))).toMatchObject({
      allowed: false,
      reason: /mamba run whole/,
    });
  });

  it('keeps a sliding-window layer in every block', () => {
    expect(splitRule(metadata('gpt-oss', { block_count: 24 }))).toEqual({ allowed: true, multiple: 2 });
    expect(splitRule(metadata('gemma3', { block_count: 34, 'attention.sliding_window': 1024 }))).toMatchObject({
      multiple: 2,
    });
    const flags = {
      'attention.sliding_window': 8,
      'attention.sliding_window_pattern': [true, true, false, false, true, true],
    };
    expect(splitRule(metadata('gemma3', { block_count: 6, ...flags }))).toMatchObject({ multiple: 3 });
  });

  it('refuses more layers than a model may have before it lists them', () => {
    for (const layers of [limits.maxLayers + 1, 0xffff_ffff, Infinity]) {
      const absurd = metadata('gemma2', { block_count: layers });
      expect(() => splitRule(absurd)).toThrow(expect.objectContaining({ code: 'model-invalid' }));
    }
  });

  it('finds the cuts of a model whose windowed layers lie far apart', () => {
    const flags = Array.from({ length: 1000 }, (_, layer) => layer === 999 || layer === 499);
    const metadata1000 = metadata('gpt-oss', { block_count: 1000, 'attention.sliding_window_pattern': flags });
    expect(splitRule(metadata1000)).toEqual({ allowed: true, multiple: 500 });
  });

  it('lets a gemma3 without a window be cut anywhere', () => {
    expect(splitRule(metadata('gemma3', { block_count: 34 }))).toEqual({ allowed: true, multiple: 1 });
  });

  it('refuses Gemma 27B, which llama.cpp recognises by its layers', () => {
    const gemma2 = { block_count: 46, embedding_length: 4608, 'attention.head_count': 32, 'attention.key_length': 128 };
    const gemma3 = { block_count: 62, embedding_length: 5376, 'attention.head_count': 32, 'attention.key_length': 128 };
    expect(splitRule(metadata('gemma2', gemma2))).toMatchObject({ allowed: false, reason: /46 layers/ });
    expect(splitRule(metadata('gemma3', gemma3))).toMatchObject({ allowed: false, reason: /62 layers/ });
    expect(splitRule(metadata('gemma3', { ...gemma3, block_count: 48 }))).toMatchObject({ allowed: true });
  });

  it('refuses lists that might be per layer', () => {
    expect(splitRule(metadata('llama', { block_count: 2, 'rope.mystery': [1, 2] }))).toMatchObject({ allowed: false });
    expect(splitRule(metadata('llama', { block_count: 2, 'attention.head_count': [4, 4] }))).toMatchObject({
      allowed: true,
    });
    expect(splitRule(metadata('llama', { block_count: 3, 'attention.head_count': [4, 4] }))).toMatchObject({
      allowed: false,
    });
  });

  it('refuses layers that predict further tokens', () => {
    expect(splitRule(metadata('qwen3', { block_count: 28, nextn_predict_layers: 1 }))).toMatchObject({
      allowed: false,
    });
  });
});

describe('tokenScale', () => {
  it('is what each architecture applies to token rows', () => {
    const gemma = metadata('gemma3', { embedding_length: 1152 });
    expect(splitArchitecture('gemma3')?.tokenScale(gemma)).toBe(Math.fround(Math.sqrt(1152)));
    expect(splitArchitecture('granite')?.tokenScale(metadata('granite', { embedding_scale: 12 }))).toBe(12);
    expect(splitArchitecture('granite')?.tokenScale(metadata('granite', {}))).toBe(1);
    expect(splitArchitecture('llama')?.tokenScale(metadata('llama', {}))).toBe(1);
  });
});
