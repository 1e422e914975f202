import type { Absent } from '@skein/mesh';
import { resolveModel, SkeinError } from '@skein/protocol';

import { meshCatalog, type CatalogModel } from './mesh-catalog.ts';

/** The models of the mesh, and the members that may bring others. */
export interface ModelView<Model extends CatalogModel> {
  readonly models: readonly Model[];
  readonly absent: Absent;
  /** Names, in lower case, of what this member is about to deploy and may have to get first. Default: none. */
  readonly awaited?: ReadonlySet<string> | undefined;
}

/** Most names in one message. */
const maxListed = 10;
/** Seconds within which members should be there that are met at a start, or come back after a short loss. */
const gatherSeconds = 2;
const returnSeconds = 5;
/** Seconds after which to ask again for a model that is still being got. */
const awaitSeconds = 5;

/**
 * Finds the model that a request names, by the rule of `resolveModel`.
 *
 * @throws SkeinError `invalid-request` when several models have the name; `no-peers`, with the time after which to ask
 * again, while this member gets it, when its only holder was just lost, or while this coordinator has just started and
 * members are missing; `model-not-found` when no member has it; `model-invalid` when it can't generate text
 */
export function findModel<Model extends CatalogModel>(view: ModelView<Model>, reference: string): Model {
  const model = resolveModel(view.models, reference) ?? explainMissing(view, reference);
  if (model.unusable === undefined) return model;
  throw new SkeinError('model-invalid', `${model.name} ${model.unusable}`, { details: { param: 'model' } });
}

/**
 * Throws the reason why no model has the name that a request gives: the errors `no-peers` and `model-not-found` of
 * {@link findModel}.
 */
export function explainMissing({ models, absent, awaited }: ModelView<CatalogModel>, reference: string): never {
  const name = reference.slice(0, 100);
  const details = { param: 'model' };
  if (awaited?.has(reference.toLowerCase()) === true) throw stillComing(name);
  const found = absent.lost.map((card) => ({ holder: card.name, model: resolveModel(meshCatalog([card]), reference) }));
  const lost = found.find(({ model }) => model !== undefined);
  if (lost !== undefined) {
    const message = `${lost.holder}, which holds ${lost.model?.name ?? name}, was lost a moment ago; try again soon, or see to that machine`;
    throw new SkeinError('no-peers', message, { details: { ...details, retryAfterSeconds: returnSeconds } });
  }
  if (absent.isGathering) {
    const message = `nobody holds ${name} so far, but this coordinator has just started and does not see all members yet; try again soon`;
    throw new SkeinError('no-peers', message, { details: { ...details, retryAfterSeconds: gatherSeconds } });
  }
  const usable = models.filter(({ unusable }) => unusable === undefined);
  const names = usable.map(({ name }) => name).slice(0, maxListed);
  const held = names.length === 0 ? 'the mesh holds no model yet' : `the mesh holds ${names.join(', ')}`;
  throw new SkeinError(
    'model-not-found',
    `no peer holds the model ${name}; ${held}; get one with \`skein pull <model>\``,
    { details },
  );
}

/** Makes the error for a request that comes while this member gets the model that it is about to deploy. */
export function stillComing(name: string): SkeinError {
  return new SkeinError('no-peers', `this machine is just getting ${name}, and deploys it then; try again soon`, {
    details: { param: 'model', retryAfterSeconds: awaitSeconds },
  });
}
