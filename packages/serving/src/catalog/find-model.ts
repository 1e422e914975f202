import type { Absent } from '@skein/mesh';
import { resolveModel, SkeinError } from '@skein/protocol';

import { meshCatalog, type CatalogModel } from './mesh-catalog.ts';

/** What is known of the mesh's models. */
export interface ModelView<Model extends CatalogModel> {
  readonly models: readonly Model[];
  readonly absent: Absent;
}

/** Names that a message lists at most. */
const maxListed = 10;
/** Seconds until members that are met at a start, or come back after a short loss, should be there. */
const gatherSeconds = 2;
const returnSeconds = 5;

/**
 * Finds the model that a request means, by the rule of `resolveModel`.
 *
 * @throws SkeinError `invalid-request` when several are meant; `no-peers`, with the time after which to ask again, for what
 *   only a member holds that was just lost, or while this coordinator has just started and members are missing;
 *   `model-not-found` for what nobody has; `model-invalid` for what can't generate text
 */
export function findModel<Model extends CatalogModel>(view: ModelView<Model>, reference: string): Model {
  const model = resolveModel(view.models, reference) ?? explainMissing(view, reference);
  if (model.unusable === undefined) return model;
  throw new SkeinError('model-invalid', `${model.name} ${model.unusable}`, { details: { param: 'model' } });
}

/** Throws why a model that a request means is not there. */
export function explainMissing({ models, absent }: ModelView<CatalogModel>, reference: string): never {
  const name = reference.slice(0, 100);
  const details = { param: 'model' };
  const holder = absent.lost.find((card) => resolveModel(meshCatalog([card]), reference) !== undefined);
  if (holder !== undefined) {
    const message = `${holder.name}, which holds ${name}, was lost a moment ago; try again soon, or see to that machine`;
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
