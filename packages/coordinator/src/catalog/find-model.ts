import { resolveModel, type CatalogModel } from '@skein/mesh';
import { SkeinError } from '@skein/protocol';

/** Names that a message lists at most. */
const maxListed = 10;

/**
 * Finds the model that a request means, by the rule of `resolveModel`.
 *
 * @throws SkeinError `model-not-found` for what no member holds or serves, `invalid-request` when several are meant
 */
export function findModel<Model extends CatalogModel>(models: readonly Model[], reference: string): Model {
  const found = resolveModel(models, reference);
  if (found !== undefined) return found;
  const names = models.map(({ name }) => name).slice(0, maxListed);
  const held = names.length === 0 ? 'the mesh holds no model yet' : `the mesh holds ${names.join(', ')}`;
  const message = `no peer holds the model ${reference.slice(0, 100)}; ${held}; get one with \`skein pull <model>\``;
  throw new SkeinError('model-not-found', message, { details: { param: 'model' } });
}
