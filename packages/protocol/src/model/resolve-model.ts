import { SkeinError } from '../errors/skein-error.ts';
import { sha256Schema } from '../ids.ts';

/** A model with everything that it may be called. */
export interface NamedModel {
  /** SHA-256 of its file. */
  readonly model: string;
  readonly name: string;
  /** Other names; case does not matter. */
  readonly aliases?: readonly string[] | undefined;
}

/** Hashes that the message of an ambiguous name lists at most. */
const maxListed = 4;

/**
 * Finds the model that a reference means: a SHA-256; or the exact name first, else a name or an alias without regard to
 * case. It is the only rule for names, in the API, the SDK and the command line. Undefined for what no model is called.
 *
 * @throws SkeinError `invalid-request`, with the hashes, when several models are meant
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
 * Names each model in a way that {@link resolveModel} takes back to it: by its name, or by its SHA-256 where several models
 * have that name. By SHA-256.
 */
export function distinctNames(models: readonly NamedModel[]): ReadonlyMap<string, string> {
  const counts = new Map<string, number>();
  for (const { name } of models) counts.set(name, (counts.get(name) ?? 0) + 1);
  return new Map(models.map(({ model, name }) => [model, counts.get(name) === 1 ? name : model]));
}
