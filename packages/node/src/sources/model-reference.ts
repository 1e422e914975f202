import { SkeinError } from '@skein/protocol';

import { catalog, findCatalogEntry, type CatalogEntry } from '../catalog/index.ts';
import type { HuggingFaceSpec, LocalFileSpec } from './source-spec.ts';

/** A person's reference to a model to pull. */
export type ModelReference =
  { readonly kind: 'catalog'; readonly entry: CatalogEntry } | HuggingFaceSpec | LocalFileSpec;

const huggingFacePrefix = 'hf:';
/** Pattern of owner and repository names at Hugging Face. */
const segment = /^[A-Za-z0-9][A-Za-z0-9._-]{0,95}$/;

/**
 * Parses a model reference: a catalog name, `hf:owner/repository/file.gguf`, or the path of a GGUF. One
 * of several parts (`-00001-of-00003.gguf`) stands for all of them.
 *
 * @throws SkeinError `invalid-request` for anything else; the message lists the possible forms
 */
export function parseModelReference(text: string): ModelReference {
  const reference = text.trim();
  if (reference.startsWith(huggingFacePrefix)) return parseHuggingFace(reference);
  const entry = findCatalogEntry(reference);
  if (entry !== undefined) return { kind: 'catalog', entry };
  if (!reference.toLowerCase().endsWith('.gguf')) throw unknownModel(reference);
  return { kind: 'local-file', path: reference };
}

function parseHuggingFace(reference: string): HuggingFaceSpec {
  const [owner, repository, ...path] = reference.slice(huggingFacePrefix.length).split('/');
  const isValid =
    segment.test(owner ?? '') &&
    segment.test(repository ?? '') &&
    path.every((part) => part !== '' && part !== '.' && part !== '..') &&
    path.at(-1)?.toLowerCase().endsWith('.gguf') === true;
  if (!isValid) {
    throw new SkeinError('invalid-request', `"${reference}" is not of the form hf:owner/repository/file.gguf`);
  }
  return { kind: 'hugging-face', repository: `${owner}/${repository}`, revision: 'main', file: path.join('/') };
}

function unknownModel(reference: string): SkeinError {
  const names = catalog.map(({ name }) => name).join(', ');
  return new SkeinError(
    'invalid-request',
    `no model is called "${reference.slice(0, 200)}"; name one of ${names}, a path that ends in .gguf, or hf:owner/repository/file.gguf`,
  );
}
