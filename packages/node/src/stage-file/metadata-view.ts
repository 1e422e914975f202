import type { GgufLayout, Value } from '../gguf/index.ts';

/** Small metadata values of a model, by key; big ones (token lists) are absent. */
export type MetadataView = ReadonlyMap<string, Value>;

/** Returns the values of a layout's metadata that were decoded. */
export function metadataView(layout: Pick<GgufLayout, 'metadata'>): MetadataView {
  const values = new Map<string, Value>();
  for (const { name, value } of layout.metadata.values()) {
    if (value !== undefined) values.set(name, value);
  }
  return values;
}

/** Returns the model's `general.architecture`, or '' when it has none. */
export function architectureOf(metadata: MetadataView): string {
  const value = metadata.get('general.architecture');
  return typeof value === 'string' ? value : '';
}

/**
 * Returns a number of the model's architecture, e.g. `llama.block_count` for `block_count`; undefined when absent or no
 * number.
 */
export function architectureNumber(metadata: MetadataView, suffix: string): number | undefined {
  const value = metadata.get(`${architectureOf(metadata)}.${suffix}`);
  return typeof value === 'number' ? value : undefined;
}

/** Returns a number as {@link architectureNumber} does; where the key holds one number per layer, the greatest of them. */
export function greatestArchitectureNumber(metadata: MetadataView, suffix: string): number | undefined {
  const value = metadata.get(`${architectureOf(metadata)}.${suffix}`);
  if (!Array.isArray(value)) return typeof value === 'number' ? value : undefined;
  const numbers = value.filter((element) => typeof element === 'number');
  return numbers.length === 0 ? undefined : Math.max(...numbers);
}
