import type { Mesh } from '@skein/mesh';
import type { Card, HeldModel } from '@skein/protocol';
import { explainMissing, findModel, meshCatalog } from '@skein/serving';

/** A model as the mesh holds it. */
export interface MeshModel extends HeldModel {
  /** Peer ids of its holders, with this manifest, in the cards' order. */
  readonly holders: readonly string[];
}

/**
 * Lists all models on the cards, one per SHA-256. Where holders made different manifests of one, takes that of most
 * holders.
 */
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
 * Finds the model that a name, an alias or a SHA-256 means, with its holders.
 *
 * @param awaited names, in lower case, of what this member is about to deploy. Default: none
 * @throws SkeinError as `findModel` of the catalog does
 */
export function findHeldModel(
  mesh: Pick<Mesh, 'cards' | 'absent'>,
  reference: string,
  awaited?: ReadonlySet<string>,
): MeshModel {
  const cards = mesh.cards.snapshot();
  const view = { models: meshCatalog(cards), absent: mesh.absent(), awaited };
  const { model } = findModel(view, reference);
  // Of what is served alone nobody may have the file any more.
  return meshModels(cards).find((held) => held.model === model) ?? explainMissing(view, reference);
}
