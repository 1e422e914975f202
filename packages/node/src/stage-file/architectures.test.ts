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

  it('cuts where the pattern of sliding windows begins anew', () => {
    expect(splitRule(metadata('gpt-oss', { block_count: 24 }))).toEqual({ allowed: true, multiple: 2 });
    const gemma3 = { block_count: 34, 'attention.sliding_window': 1024 };
    expect(splitRule(metadata('gemma3', gemma3))).toEqual({ allowed: true, multiple: 6 });
    const withPeriod = (period: Value) =>
      splitRule(metadata('gemma3', { ...gemma3, 'attention.sliding_window_pattern': period }));
    expect(withPeriod(4)).toEqual({ allowed: true, multiple: 4 });
    // A window on every layer.
    expect(withPeriod(0)).toEqual({ allowed: true, multiple: 1 });
    expect(withPeriod(1)).toMatchObject({ allowed: false, reason: /none of its layers/ });
    for (const period of [35, 1.5, -2, 'six', true]) expect(withPeriod(period)).toMatchObject({ allowed: false });
  });

  it('refuses a list of windowed layers that llama.cpp passes over, unless it says what is the default', () => {
    const listed = (flags: Value) =>
      splitRule(metadata('gpt-oss', { block_count: 5, 'attention.sliding_window_pattern': flags }));
    expect(listed([true, false, true, false, true])).toEqual({ allowed: true, multiple: 2 });
    expect(listed([1, 0, 1, 0, 1])).toEqual({ allowed: true, multiple: 2 });
    expect(listed([false, true, false, true, false])).toMatchObject({ allowed: false, reason: /does not follow/ });
    expect(listed([true, false])).toMatchObject({ allowed: false, reason: /one value per layer/ });
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
