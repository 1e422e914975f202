import { SkeinError } from '../errors/skein-error.ts';
import { sha256Schema } from '../ids.ts';

/** A model with all its names. */
export interface NamedModel {
  /** SHA-256 of its file. */
  readonly model: string;
  readonly name: string;
  /** Further names; case does not matter. */
  readonly aliases?: readonly string[] | undefined;
}

/** Most hashes in the message about an ambiguous name. */
const maxListed = 4;

/**
 * Finds the model that a reference names: a SHA-256; or the exact name first, else a name or an alias regardless of
 * case. It is the only rule for names, in the API, the SDK and the command line. Returns undefined when no model has
 * the name.
 *
 * @throws SkeinError `invalid-request`, with the hashes, when several models have it
 */
export function resolveModel<Model extends NamedModel>(models: readonly Model[], reference: string): Model | undefined {
  const lowerCase = reference.toLowerCase();
  // A hash is never looked for among the names: nobody can offer a model under the hash of another.
  if (sha256Schema.safeParse(lowerCase).success) return models.find(({ model }) => model === lowerCase);
  const exact = models.filter(({ name }) => name === reference);
  const found = exact.length > 0 ? exact : models.filter((model) => isCalled(model, lowerCase));
  if (found.length <= 1) return found[0];
  const hashes = found.map(({ model }) => model).toSorted();
  const more = hashes.length > maxListed ? `, and ${hashes.length - maxListed} more` : '';
  throw new SkeinError(
    'invalid-request',
    `several models are called ${reference.slice(0, 100)}: ${hashes.slice(0, maxListed).join(', ')}${more}; name one by its SHA-256`,
    { details: { param: 'model' } },
  );
}

function isCalled({ name, aliases = [] }: NamedModel, lowerCase: string): boolean {
  return [name, ...aliases].some((one) => one.toLowerCase() === lowerCase);
}

/**
 * Returns for each model, by SHA-256, a reference that {@link resolveModel} takes back to it: its name, or its SHA-256
 * where several models share the name.
 */
export function distinctNames(models: readonly NamedModel[]): ReadonlyMap<string, string> {
  const counts = new Map<string, number>();
  for (const { name } of models) counts.set(name, (counts.get(name) ?? 0) + 1);
  return new Map(models.map(({ model, name }) => [model, counts.get(name) === 1 ? name : model]));
}
