import type { GgufLayout, Value } from '../gguf/index.ts';

/** A model's small metadata values by key; big ones (token lists) are absent. */
export type MetadataView = ReadonlyMap<string, Value>;

export function metadataView(layout: Pick<GgufLayout, 'metadata'>): MetadataView {
  const values = new Map<string, Value>();
  for (const { name, value } of layout.metadata.values()) {
    if (value !== undefined) values.set(name, value);
  }
  return values;
}

/** The model's `general.architecture`, or '' when it does not say. */
export function architectureOf(metadata: MetadataView): string {
  const value = metadata.get('general.architecture');
  return typeof value === 'string' ? value : '';
}

/** A number of the model's architecture, e.g. `block_count` for `llama.block_count`; undefined when absent or no number. */
export function architectureNumber(metadata: MetadataView, suffix: string): number | undefined {
  const value = metadata.get(`${architectureOf(metadata)}.${suffix}`);
  return typeof value === 'number' ? value : undefined;
}

/** Like {@link architectureNumber}, and where the key holds one number per layer, the greatest of them. */
export function greatestArchitectureNumber(metadata: MetadataView, suffix: string): number | undefined {
  const value = metadata.get(`${architectureOf(metadata)}.${suffix}`);
  if (!Array.isArray(value)) return typeof value === 'number' ? value : undefined;
  const numbers = value.filter((element) => typeof element === 'number');
  return numbers.length === 0 ? undefined : Math.max(...numbers);
}
