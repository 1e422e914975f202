import { meshCatalog, resolveModel } from '@skein/mesh';
import { SkeinError, type Card, type HeldModel } from '@skein/protocol';

/** A model as the mesh holds it. */
export interface MeshModel extends HeldModel {
  /** Peer ids of those who hold it, with this manifest, in the cards' order. */
  readonly holders: readonly string[];
}

/** All models that cards name, one per SHA-256. Where holders made different manifests of one, the one most have. */
export function meshModels(cards: readonly Card[]): MeshModel[] {
  const variants = new Map<string, HeldModel & { holders: string[] }>();
  for (const { peer, models } of cards) {
    for (const held of models) {
      const key = `${held.model} ${held.manifest}`;
      const variant = variants.get(key);
      if (variant === undefined) variants.set(key, { ...held, holders: [peer] });
      // Cards are one per peer: one that names a model often counts once.
      else if (variant.holders.at(-1) !== peer) variant.holders.push(peer);
    }
  }
  const best = new Map<string, MeshModel>();
  for (const variant of variants.values()) {
    const other = best.get(variant.model);
    if (other === undefined || variant.holders.length > other.holders.length) best.set(variant.model, variant);
  }
  return [...best.values()];
}

/**
 * Finds the model that a name, an alias or a SHA-256 stands for; see `resolveModel`.
 *
 * @throws SkeinError `model-not-found` when nobody holds it, `invalid-request` when several models have this name
 */
export function findModel(cards: readonly Card[], reference: string): MeshModel {
  const models = meshModels(cards);
  const known = resolveModel(meshCatalog(cards), reference);
  const found = models.find(({ model }) => model === known?.model);
  if (found !== undefined) return found;
  const names = models.map((model) => model.name).slice(0, 10);
  const held = names.length === 0 ? 'the mesh holds no model yet' : `the mesh holds ${names.join(', ')}`;
  const message = `no peer holds the model ${reference.slice(0, 100)}; ${held}; get one with \`skein pull <model>\``;
  throw new SkeinError('model-not-found', message, { details: { param: 'model' } });
}
