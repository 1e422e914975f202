import { SkeinError } from '@skein/protocol';

import { partPaths, withoutPart } from './part-names.ts';

/** Quantization that is taken where none is named and there are several. */
const usualQuantization = 'Q4_K_M';
/** Names of files beside models: projectors for images, importance matrices of a quantization. */
const besideModels = /(?:^|[/._-])(?:mmproj|imatrix)(?:[._-]|$)/i;
/** Most names that an error lists. */
const listedNames = 40;
/** Longest name that it shows whole, in characters. */
const listedCharacters = 150;

/**
 * Chooses the model of a repository that a quantization names, by the names of its files: `Q4_K_M` stands for
 * `model-Q4_K_M.gguf` and `Q4_K_M/model-00001-of-00003.gguf`, whatever the case. Without one, the only model is meant,
 * else that in Q4_K_M. Returns the path of the file, or of the first part.
 *
 * @throws SkeinError `model-not-found` when none or several fit; the message lists them
 */
export function chooseFile(repository: string, files: readonly string[], quantization: string | undefined): string {
  const models = new Map<string, string>();
  for (const file of files.toSorted()) {
    const name = withoutPart(file);
    if (mayBeModel(file) && !models.has(name)) models.set(name, file);
  }
  const all = [...models.keys()];
  if (all.length === 0) {
    throw new SkeinError('model-not-found', `${repository} has no GGUF; look for a repository that ends in -GGUF`);
  }
  const fitting = quantization === undefined && all.length === 1 ? all : named(all, quantization ?? usualQuantization);
  const [only, ...others] = fitting;
  if (only === undefined || others.length > 0) throw undecided(repository, { all, fitting, quantization });
  const file = models.get(only) ?? only;
  assertComplete(file, files);
  return file;
}

/** Tells whether a file is a model, by its name. */
export function mayBeModel(file: string): boolean {
  return file.toLowerCase().endsWith('.gguf') && !besideModels.test(file);
}

function named(models: readonly string[], quantization: string): readonly string[] {
  const name = quantization.replaceAll(/[^A-Za-z0-9]/g, String.raw`\$&`);
  const fits = new RegExp(`(?:^|[/._-])${name}(?:[/.-]|$)`, 'i');
  return models.filter((model) => fits.test(model));
}

function undecided(
  repository: string,
  found: {
    readonly all: readonly string[];
    readonly fitting: readonly string[];
    readonly quantization: string | undefined;
  },
): SkeinError {
  const { all, fitting, quantization } = found;
  const several = fitting.length > 1;
  const listed = (several ? fitting : all).slice(0, listedNames).map((name) => name.slice(0, listedCharacters));
  const rest = (several ? fitting : all).length - listed.length;
  const names = `${listed.join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`;
  const example = `hf:${repository}/${listed[0]}`;
  if (several) {
    return new SkeinError(
      'model-not-found',
      `${repository} has several models in ${quantization ?? usualQuantization}: ${names}; name one, like ${example}`,
    );
  }
  const problem = quantization === undefined ? 'has several models' : `has no model in ${quantization}`;
  return new SkeinError(
    'model-not-found',
    `${repository} ${problem}; it has ${names}; name one by its quantization (${repository}:Q8_0) or its file (${example})`,
  );
}

function assertComplete(file: string, files: readonly string[]): void {
  const parts = partPaths(file);
  const missing = parts?.findIndex((part) => !files.includes(part)) ?? -1;
  if (parts === undefined || missing < 0) return;
  throw new SkeinError(
    'model-not-found',
    `part ${missing + 1} of ${parts.length} is missing in the repository: ${parts[missing]}; its upload may still run`,
  );
}
