import { z } from 'zod';

import { invariant } from '../errors/invariant.ts';

/** Longest key and text of llama.cpp's overrides, in bytes; both are ASCII. */
const maxCharacters = 127;

const overridePattern = new RegExp(
  String.raw`^([\w.-]{1,${maxCharacters}})=(?:(int):(-?\d{1,15})|(float):(-?\d{1,30}(?:\.\d{1,30})?(?:e[-+]?\d{1,2})?)|(bool):(true|false)|(str):([\x20-\x7e]{0,${maxCharacters}}))$`,
);

/** A value that replaces one of the model's metadata: `key=type:value`, as llama.cpp's `--override-kv` takes it. */
export const metadataOverrideSchema = z
  .string()
  .max(2 * maxCharacters + 16)
  .regex(overridePattern, { message: 'expected key=int:1, key=float:0.5, key=bool:true or key=str:text' });

/** A parsed override. */
export interface MetadataOverride {
  readonly key: string;
  readonly value:
    | { readonly type: 'int' | 'float'; readonly number: number }
    | { readonly type: 'bool'; readonly flag: boolean }
    | { readonly type: 'str'; readonly text: string };
}

/** Parses an override that {@link metadataOverrideSchema} has taken. */
export function parseMetadataOverride(override: string): MetadataOverride {
  const parsed = invariant(overridePattern.exec(override), 'an override that the schema has taken is well-formed');
  const [, key = '', int, intText, float, floatText, bool, boolText, , text = ''] = parsed;
  if (int !== undefined) return { key, value: { type: 'int', number: Number(intText) } };
  if (float !== undefined) return { key, value: { type: 'float', number: Number(floatText) } };
  if (bool !== undefined) return { key, value: { type: 'bool', flag: boolText === 'true' } };
  return { key, value: { type: 'str', text } };
}

/**
 * Keys, or their ends behind the architecture's name, that say how a model is cut and how large it is. Files of stages
 * have values of their own there, and the planner reads them from the model.
 */
const fixedKeys = [
  'general.architecture',
  'general.alignment',
  'split.count',
  'split.no',
  'split.tensors.count',
  '.block_count',
  '.embedding_length',
  '.embedding_scale',
  '.vocab_size',
  '.attention.head_count',
  '.attention.head_count_kv',
  '.attention.key_length',
  '.attention.value_length',
  '.attention.sliding_window',
  '.attention.sliding_window_pattern',
  '.nextn_predict_layers',
];

/** Returns whether a key of the metadata may not be replaced. */
export function isFixedKey(key: string): boolean {
  return fixedKeys.some((fixed) => key === fixed || (fixed.startsWith('.') && key.endsWith(fixed)));
}
