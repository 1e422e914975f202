import type { ModelStore } from '@skein/node';

/**
 * What the mesh calls a model that a person names. A name that only this machine knows (an alias, or what it was pulled as)
 * becomes the model's SHA-256; any other is left for the mesh to know.
 */
export async function modelId(store: Pick<ModelStore, 'find'>, name: string): Promise<string> {
  const held = await store.find(name);
  return held === undefined || held.name === name ? name : held.model;
}
